//! Anthropic messages.

pub(crate) mod anthropic;
pub(crate) mod openai;
