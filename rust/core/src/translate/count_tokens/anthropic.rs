//! Anthropic token counts to the Anthropic API: bytes go through.
//!
//! Dropped by contract: thinking with an empty signature.

use crate::endpoint::{Endpoint, join_path};
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, Passthrough};

pub(crate) struct CountTokens;

impl Passthrough for CountTokens {
    const ENDPOINT: Endpoint = Endpoint::CountTokens;
    const SCHEMA: ApiSchema = ApiSchema::Anthropic;
    const KEYS: &'static [&'static str] = super::KEYS;

    fn path(binding: &Binding<'_>) -> String {
        let prefix = match binding.backend.schema.prefix.as_str() {
            "" => "v1",
            prefix => prefix,
        };
        join_path(&[prefix, "messages/count_tokens"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        super::read(members, findings);
    }
}
