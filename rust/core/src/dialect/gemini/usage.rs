//! Gemini's counters.

use serde::Deserialize;

use crate::usage::{Count, Usage};
use crate::wire::gemini::Raw;
use crate::wire::openai::{ChatUsage, CompletionDetails, PromptDetails};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the provider's names")]
struct Counters {
    prompt_token_count: Count,
    tool_use_prompt_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    total_token_count: Count,
    cached_content_token_count: Count,
}

/// The counters as recorded: what tools brought into the prompt counts as input, thoughts as
/// output. What cannot be read is unknown.
pub(super) fn tokens(raw: Raw<'_>) -> Usage {
    let counters: Option<Counters> = serde_json::from_str(raw.get()).unwrap_or_default();
    let counters = counters.unwrap_or_default();
    let sum = |one: Count, other: Count| match (one.0, other.0) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    };
    let input = sum(
        counters.prompt_token_count,
        counters.tool_use_prompt_token_count,
    );
    let output = sum(
        counters.candidates_token_count,
        counters.thoughts_token_count,
    );
    let both = input.zip(output).map(|(i, o)| i.saturating_add(o));
    Usage {
        input_tokens: input,
        output_tokens: output,
        total_tokens: counters.total_token_count.0.or(both),
        cached_input_tokens: counters.cached_content_token_count.0,
        cache_creation_input_tokens: None,
        reasoning_tokens: counters.thoughts_token_count.0,
    }
}

/// The counters as OpenAI clients read them. `None` where nothing was counted.
pub(super) fn client_usage(usage: &Usage) -> Option<ChatUsage> {
    let known = |count: Option<u64>| count.filter(|count| *count > 0);
    usage
        .input_tokens
        .or(usage.output_tokens)
        .or(usage.total_tokens)?;
    let (input, output) = (
        usage.input_tokens.unwrap_or(0),
        usage.output_tokens.unwrap_or(0),
    );
    Some(ChatUsage {
        prompt_tokens: input,
        completion_tokens: output,
        total_tokens: usage.total_tokens.unwrap_or(input.saturating_add(output)),
        completion_tokens_details: Some(CompletionDetails {
            reasoning_tokens: known(usage.reasoning_tokens),
        }),
        prompt_tokens_details: Some(PromptDetails {
            cached_tokens: known(usage.cached_input_tokens),
            cache_creation_input_tokens: None,
        }),
    })
}
