//! OpenAI responses.

pub(crate) mod openai;
