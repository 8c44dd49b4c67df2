//! OpenAI responses to Azure OpenAI: bytes go through.

use crate::dialect::azure_path;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::{Event, TopLevel};
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, OPENAI_KEYS, Passthrough, openai_event, openai_unary};

pub(crate) struct Responses;

impl Passthrough for Responses {
    const ENDPOINT: Endpoint = Endpoint::Responses;
    const SCHEMA: ApiSchema = ApiSchema::AzureOpenAI;
    const KEYS: &'static [&'static str] = OPENAI_KEYS;

    fn path(binding: &Binding<'_>) -> String {
        azure_path::path(binding, "responses")
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        openai_unary(members, findings);
    }

    fn event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
        openai_event(event, findings)
    }
}
