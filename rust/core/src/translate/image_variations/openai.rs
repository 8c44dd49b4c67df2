//! OpenAI image variations to an OpenAI-compatible provider: the form goes through.

use crate::endpoint::{Endpoint, join_path};
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, OPENAI_KEYS, Passthrough, openai_unary};

pub(crate) struct ImageVariations;

impl Passthrough for ImageVariations {
    const ENDPOINT: Endpoint = Endpoint::ImageVariations;
    const SCHEMA: ApiSchema = ApiSchema::OpenAI;
    const KEYS: &'static [&'static str] = OPENAI_KEYS;

    fn path(binding: &Binding<'_>) -> String {
        join_path(&[&binding.backend.schema.prefix, "images/variations"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        openai_unary(members, findings);
    }
}
