//! Cohere's error replies: a message at the top.

use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{ProviderError, openai_error};

/// Type and message of an error reply; the type follows from the status.
pub(crate) fn provider_error(status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
    openai_error(ApiSchema::Cohere, status, headers, body)
}
