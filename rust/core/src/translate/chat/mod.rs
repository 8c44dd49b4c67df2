//! OpenAI chat completions.

pub(crate) mod anthropic;
pub(crate) mod openai;
