//! Input tokens of OpenAI responses, by an OpenAI-compatible provider: bytes go through.

use crate::endpoint::{Endpoint, join_path};
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, Passthrough};

pub(crate) struct InputTokens;

impl Passthrough for InputTokens {
    const ENDPOINT: Endpoint = Endpoint::ResponsesInputTokens;
    const SCHEMA: ApiSchema = ApiSchema::OpenAI;
    const KEYS: &'static [&'static str] = super::KEYS;

    fn path(binding: &Binding<'_>) -> String {
        join_path(&[&binding.backend.schema.prefix, "responses/input_tokens"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        super::read(members, findings);
    }
}
