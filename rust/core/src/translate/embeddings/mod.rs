//! OpenAI embeddings.

pub(crate) mod azure_openai;
pub(crate) mod openai;
