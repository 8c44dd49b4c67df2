//! Anthropic messages.

pub(crate) mod anthropic;
