//! OpenAI translations of audio.

pub(crate) mod openai;
