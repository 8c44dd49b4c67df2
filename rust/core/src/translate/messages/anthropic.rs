//! Anthropic messages to the Anthropic API: bytes go through.
//!
//! Dropped by contract: thinking with an empty signature.

use crate::endpoint::{Endpoint, join_path};
use crate::error::Result;
use crate::framing::{Event, TopLevel};
use crate::schema::ApiSchema;
use crate::translate::{
    ANTHROPIC_KEYS, Binding, Findings, Passthrough, anthropic_event, anthropic_unary,
};

pub(crate) struct Messages;

impl Passthrough for Messages {
    const ENDPOINT: Endpoint = Endpoint::Messages;
    const SCHEMA: ApiSchema = ApiSchema::Anthropic;
    const KEYS: &'static [&'static str] = ANTHROPIC_KEYS;

    fn path(binding: &Binding<'_>) -> String {
        let prefix = match binding.backend.schema.prefix.as_str() {
            "" => "v1",
            prefix => prefix,
        };
        join_path(&[prefix, "messages"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        anthropic_unary(members, findings);
    }

    fn event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
        anthropic_event(event, findings)
    }
}
