//! OpenAI image generation.

pub(crate) mod openai;
