//! Token counts of Converse replies.

use serde::Deserialize;

use crate::usage::{Count, Usage};
use crate::wire::bedrock::Raw;
use crate::wire::openai::{ChatUsage, PromptDetails};

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
    let cache = tokens.cache_read_input_tokens.0;
    let cache = cache.or(tokens.cache_write_input_tokens.0);
    Usage::with_explicit_caching(
        // Cache traffic is input even where there was no other.
        tokens.input_tokens.0.or(cache.map(|_| 0)),
        tokens.output_tokens.0,
        tokens.cache_read_input_tokens.0,
        tokens.cache_write_input_tokens.0,
    )
}

/// The counts as OpenAI clients read them: details name only what there is. `None` where
/// nothing was counted.
pub(crate) fn chat_usage(usage: &Usage) -> Option<ChatUsage> {
    let above_zero = |count: Option<u64>| count.filter(|count| *count > 0);
    let (read, written) = (usage.cached_input_tokens, usage.cache_creation_input_tokens);
    let cache = (read.is_some() || written.is_some()).then(|| PromptDetails {
        cached_tokens: above_zero(read),
        cache_creation_input_tokens: above_zero(written),
    });
    let counted = above_zero(usage.input_tokens)
        .or(above_zero(usage.output_tokens))
        .is_some();
    (counted || cache.is_some()).then(|| ChatUsage {
        prompt_tokens: usage.input_tokens.unwrap_or(0),
        completion_tokens: usage.output_tokens.unwrap_or(0),
        // Unknown where one side is: the client still wants a sum.
        total_tokens: usage
            .input_tokens
            .unwrap_or(0)
            .saturating_add(usage.output_tokens.unwrap_or(0)),
        completion_tokens_details: None,
        prompt_tokens_details: cache,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Usage {
        tokens(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn cache_traffic_counts_as_input() {
        let usage = read(
            r#"{"inputTokens":40,"outputTokens":12,"totalTokens":52,"cacheReadInputTokens":100,
                "cacheWriteInputTokens":0}"#,
        );
        assert_eq!(
            (usage.input_tokens, usage.total_tokens),
            (Some(140), Some(152))
        );
        let details = chat_usage(&usage).unwrap().prompt_tokens_details.unwrap();
        assert_eq!(details.cached_tokens, Some(100));
        assert_eq!(details.cache_creation_input_tokens, None);
    }

    #[test]
    fn odd_usage_never_fails_and_nothing_counted_is_no_usage() {
        assert!(chat_usage(&read("[]")).is_none());
        assert!(chat_usage(&read(r#"{"inputTokens":0,"outputTokens":-3}"#)).is_none());
        assert_eq!(
            chat_usage(&read(r#"{"outputTokens":3}"#))
                .unwrap()
                .total_tokens,
            3
        );
    }
}
