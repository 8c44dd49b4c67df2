//! OpenAI embeddings.

pub(crate) mod openai;
