//! OpenAI completions.

pub(crate) mod openai;
