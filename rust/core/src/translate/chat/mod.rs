//! OpenAI chat completions.

pub(crate) mod anthropic;
pub(crate) mod aws_bedrock;
pub(crate) mod openai;
