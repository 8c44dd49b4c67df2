//! OpenAI variations of images.

pub(crate) mod openai;
