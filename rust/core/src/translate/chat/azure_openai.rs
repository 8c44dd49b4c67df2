//! OpenAI chat completions to a deployment of Azure OpenAI: bytes go through.

use crate::dialect::azure_path;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::{Event, TopLevel};
use crate::schema::ApiSchema;
use crate::translate::{
    Binding, Findings, ModelIn, OPENAI_KEYS, Passthrough, openai_event, openai_unary,
};

pub(crate) struct Chat;

impl Passthrough for Chat {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = ApiSchema::AzureOpenAI;
    const KEYS: &'static [&'static str] = OPENAI_KEYS;
    const MODEL_IN: ModelIn = ModelIn::Path;

    fn path(binding: &Binding<'_>) -> String {
        azure_path::deployment(binding, "chat/completions")
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        openai_unary(members, findings);
    }

    fn event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
        openai_event(event, findings)
    }
}
