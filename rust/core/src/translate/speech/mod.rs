//! OpenAI text to speech.

pub(crate) mod openai;
