//! AWS Bedrock's Converse API, as the translators of several client APIs need it.
//!
//! Mapped with a loss, by contract: `system` and `developer` messages go to the front; tools
//! without a function and assistant parts of unknown type are skipped.

mod count;
mod error;
mod from_messages;
mod messages;
mod parts;
mod path;
mod redacted;
mod request;
mod to_messages;
mod tools;
mod usage;

pub(crate) use count::{claude_count_path, count_path, count_request};
pub(crate) use error::{exception, provider_error, request_id};
pub(crate) use from_messages::messages_request;
pub(crate) use path::Operation;
pub(crate) use request::chat_request;
pub(crate) use to_messages::MessagesReply;
pub(crate) use usage::{chat_usage, tokens};
