//! OpenAI chat completions.

pub(crate) mod openai;
