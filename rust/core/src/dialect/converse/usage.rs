//! Token counts of Converse replies.

use serde::Deserialize;

use crate::usage::{Count, Usage};
use crate::wire::bedrock::Raw;

/// Token counts. `inputTokens` leaves cache traffic out, and so does `totalTokens`, which is
/// therefore not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the provider's names")]
struct TokenUsage {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_write_input_tokens: Count,
}

/// The counts as recorded. What cannot be read is unknown: usage never fails a good reply.
pub(crate) fn tokens(usage: Raw<'_>) -> Usage {
    let tokens: TokenUsage = serde_json::from_str(usage.get()).unwrap_or_default();
    Usage::with_explicit_caching(
        tokens.input_tokens.0,
        tokens.output_tokens.0,
        tokens.cache_read_input_tokens.0,
        tokens.cache_write_input_tokens.0,
    )
}
