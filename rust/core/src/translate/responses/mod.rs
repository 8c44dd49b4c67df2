//! OpenAI responses.

pub(crate) mod azure_openai;
pub(crate) mod openai;
