//! OpenAI chat and Claude's Messages API, in both directions.
//!
//! The same body serves the direct API, Bedrock's `InvokeModel` and Vertex's `rawPredict`; what
//! differs (path, version, framing, model gates) is in [`Target`] and in the translators.
//!
//! Mapped with a loss, by contract: a message keeps its place, but `system` and `developer`
//! messages go to the front; several text parts of one system message become one block.

mod count;
mod error;
mod hosts;
mod messages;
mod parts;
mod raw;
mod reply;
mod request;
mod stream;
mod tools;
mod unsigned;
mod usage;

pub(crate) use count::{aws_count_body, count_request, token_count};
pub(crate) use error::{aws_error, foreign_error, is_native_error, provider_error};
pub(crate) use hosts::{AWS, GCP, gcp_base_model, gcp_count_path, inner_event, is_claude};
pub(crate) use raw::{aws_betas, aws_body, gcp_body};
pub(crate) use reply::ChatReply;
pub(crate) use request::{Gate, Target, chat_request, note_dropped};
pub(crate) use stream::event_type;
pub(crate) use unsigned::{UNSIGNED, without_unsigned};
pub(crate) use usage::{complete_usage, merge_usage};
