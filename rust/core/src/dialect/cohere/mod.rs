//! Cohere's v2 API, and OpenAI chat in both directions.

mod error;
mod reply;
mod request;

pub(crate) use error::provider_error;
pub(crate) use reply::ChatReply;
pub(crate) use request::{chat_request, note_dropped};

use crate::schema::BackendSchema;

/// Prefix and version of a backend's paths.
pub(crate) fn base(schema: &BackendSchema) -> (&str, &str) {
    let version = match schema.version.as_str() {
        "" => "v2",
        version => version,
    };
    (&schema.prefix, version)
}
