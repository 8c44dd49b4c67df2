//! Input tokens of OpenAI responses, by Azure OpenAI: bytes go through.

use crate::dialect::azure_path;
use crate::endpoint::Endpoint;
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, Passthrough};

pub(crate) struct InputTokens;

impl Passthrough for InputTokens {
    const ENDPOINT: Endpoint = Endpoint::ResponsesInputTokens;
    const SCHEMA: ApiSchema = ApiSchema::AzureOpenAI;
    const KEYS: &'static [&'static str] = super::KEYS;

    fn path(binding: &Binding<'_>) -> String {
        azure_path::path(binding, "responses/input_tokens")
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        super::read(members, findings);
    }
}
