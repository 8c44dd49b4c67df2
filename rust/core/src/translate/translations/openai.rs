//! OpenAI audio translations to an OpenAI-compatible provider: the form goes through.

use crate::endpoint::{Endpoint, join_path};
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, OPENAI_KEYS, Passthrough, openai_unary};

pub(crate) struct Translations;

impl Passthrough for Translations {
    const ENDPOINT: Endpoint = Endpoint::Translations;
    const SCHEMA: ApiSchema = ApiSchema::OpenAI;
    const KEYS: &'static [&'static str] = OPENAI_KEYS;

    fn path(binding: &Binding<'_>) -> String {
        join_path(&[&binding.backend.schema.prefix, "audio/translations"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        openai_unary(members, findings);
    }
}
