//! OpenAI image edits to an OpenAI-compatible provider: the form goes through.

use crate::endpoint::{Endpoint, join_path};
use crate::error::Result;
use crate::framing::{Event, TopLevel};
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, OPENAI_KEYS, Passthrough, media_event, openai_unary};

pub(crate) struct ImageEdits;

impl Passthrough for ImageEdits {
    const ENDPOINT: Endpoint = Endpoint::ImageEdits;
    const SCHEMA: ApiSchema = ApiSchema::OpenAI;
    const KEYS: &'static [&'static str] = OPENAI_KEYS;

    fn path(binding: &Binding<'_>) -> String {
        join_path(&[&binding.backend.schema.prefix, "images/edits"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        openai_unary(members, findings);
    }

    fn event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
        media_event(event, findings)
    }
}
