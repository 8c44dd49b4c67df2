//! OpenAI edits of images.

pub(crate) mod openai;
