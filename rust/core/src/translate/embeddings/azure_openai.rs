//! OpenAI embeddings to a deployment of Azure OpenAI: bytes go through.

use crate::dialect::azure_path;
use crate::endpoint::Endpoint;
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, OPENAI_KEYS, Passthrough, openai_unary};

pub(crate) struct Embeddings;

impl Passthrough for Embeddings {
    const ENDPOINT: Endpoint = Endpoint::Embeddings;
    const SCHEMA: ApiSchema = ApiSchema::AzureOpenAI;
    const KEYS: &'static [&'static str] = OPENAI_KEYS;

    fn path(binding: &Binding<'_>) -> String {
        azure_path::deployment(binding, "embeddings")
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        openai_unary(members, findings);
    }
}
