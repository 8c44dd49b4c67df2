//! OpenAI chat and Gemini's `generateContent`, in both directions.
//!
//! Mapped with a loss, by contract: `system` and `developer` messages go to the front; results
//! of tools and user messages that follow each other become one content; texts of tool results
//! are never read as JSON; a message's `name` and a tool call's `id` are not told (Gemini pairs
//! calls and results by name and order).

mod dropped;
mod error;
mod features;
mod generation;
mod messages;
mod parts;
mod reply;
mod request;
mod schema;
mod stream;
mod tools;
mod usage;

pub(crate) use dropped::{note_dropped, note_messages};
pub(crate) use error::provider_error;
pub(crate) use reply::ChatReply;
pub(crate) use request::{chat_request, count_request, embed_parts, path};
