//! OpenAI transcriptions of audio.

pub(crate) mod openai;
