//! OpenAI chat completions.

pub(crate) mod anthropic;
pub(crate) mod aws_bedrock;
pub(crate) mod decoded;
pub(crate) mod openai;
