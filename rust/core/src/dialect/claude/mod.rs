//! OpenAI chat and Claude's Messages API, in both directions.
//!
//! The same body serves the direct API, Bedrock's `InvokeModel` and Vertex's `rawPredict`; what
//! differs (path, version, framing, model gates) is in [`Target`] and in the translators.
//!
//! Mapped with a loss, by contract: a message keeps its place, but `system` and `developer`
//! messages go to the front; several text parts of one system message become one block.

mod error;
mod messages;
mod parts;
mod reply;
mod request;
mod stream;
mod tools;
mod usage;

pub(crate) use error::provider_error;
pub(crate) use reply::ChatReply;
pub(crate) use request::{Gate, READ, Target, chat_request};
