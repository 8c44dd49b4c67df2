//! Claude's counters: input excludes cache traffic, later totals replace earlier ones.

use serde::Deserialize;

use crate::usage::{Count, Usage};
use crate::wire::openai::{ChatUsage, CompletionDetails, PromptDetails};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counters {
    input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    output_tokens: Count,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

/// Puts the totals of a `usage` object in place of what was known before. What it leaves out
/// stays, and so does an input that it calls zero: the part of a message that has no input to
/// tell about.
pub(crate) fn merge_usage(known: &mut Usage, raw: &[u8]) {
    // A usage figure never fails a good reply.
    let counters: Option<Counters> = serde_json::from_slice(raw).unwrap_or_default();
    let Some(counters) = counters else { return };
    let before = known.input_tokens.map(|input| {
        let cached = known.cached_input_tokens.unwrap_or(0);
        let created = known.cache_creation_input_tokens.unwrap_or(0);
        input.saturating_sub(cached).saturating_sub(created)
    });
    let details = counters.output_tokens_details.unwrap_or_default();
    let uncached = later(counters.input_tokens, before);
    let cached = later(counters.cache_read_input_tokens, known.cached_input_tokens);
    let created = later(
        counters.cache_creation_input_tokens,
        known.cache_creation_input_tokens,
    );
    let tells_input = uncached.or(cached).or(created).is_some();
    let input = tells_input.then(|| uncached.unwrap_or(0));
    let output = counters.output_tokens.0.or(known.output_tokens);
    *known = Usage {
        reasoning_tokens: details.thinking_tokens.0.or(known.reasoning_tokens),
        ..Usage::with_explicit_caching(input, output, cached, created)
    };
}

fn later(now: Count, before: Option<u64>) -> Option<u64> {
    match now.0 {
        None | Some(0) => before.or(now.0),
        told => told,
    }
}

/// Counters of the input that a message leaves out are zero once it has told its output.
pub(crate) fn complete_usage(known: &mut Usage) {
    if known.output_tokens.is_some() {
        known.input_tokens.get_or_insert(0);
        known.cached_input_tokens.get_or_insert(0);
        known.cache_creation_input_tokens.get_or_insert(0);
        known.total_tokens = total(known);
    }
}

/// The usage of a whole message for an OpenAI client, every counter a number.
pub(super) fn whole(known: &mut Usage) {
    known.output_tokens.get_or_insert(0);
    known.reasoning_tokens.get_or_insert(0);
    complete_usage(known);
}

fn total(usage: &Usage) -> Option<u64> {
    Some(usage.input_tokens?.saturating_add(usage.output_tokens?))
}

/// Usage as OpenAI clients read it: details name only what there is.
pub(super) fn client_usage(usage: &Usage) -> ChatUsage {
    let known = |count: Option<u64>| count.filter(|count| *count > 0);
    ChatUsage {
        prompt_tokens: usage.input_tokens.unwrap_or(0),
        completion_tokens: usage.output_tokens.unwrap_or(0),
        total_tokens: usage.total_tokens.unwrap_or(0),
        completion_tokens_details: Some(CompletionDetails {
            reasoning_tokens: known(usage.reasoning_tokens),
        }),
        prompt_tokens_details: Some(PromptDetails {
            cached_tokens: known(usage.cached_input_tokens),
            cache_creation_input_tokens: known(usage.cache_creation_input_tokens),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Input, cached, created, output after these objects one after another.
    fn merged(objects: &[&str]) -> [Option<u64>; 4] {
        let mut usage = Usage::default();
        for object in objects {
            merge_usage(&mut usage, object.as_bytes());
        }
        [
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.cache_creation_input_tokens,
            usage.output_tokens,
        ]
    }

    #[test]
    fn totals_replace_and_never_add() {
        let start =
            r#"{"input_tokens":9,"cache_read_input_tokens":1,"cache_creation_input_tokens":0}"#;
        assert_eq!(merged(&[start, start])[0], Some(10));
        let start = r#"{"input_tokens":20,"cache_read_input_tokens":5,"output_tokens":1}"#;
        assert_eq!(
            merged(&[start, r#"{"input_tokens":30}"#, "{}"]),
            [Some(35), Some(5), None, Some(1)]
        );
    }

    #[test]
    fn counters_of_the_cache_replace_theirs_alone() {
        let start =
            r#"{"input_tokens":20,"cache_read_input_tokens":5,"cache_creation_input_tokens":3}"#;
        let delta = r#"{"cache_read_input_tokens":7,"cache_creation_input_tokens":2}"#;
        assert_eq!(merged(&[start, delta])[0], Some(29));
        assert_eq!(
            merged(&[
                r#"{"input_tokens":1000}"#,
                r#"{"cache_read_input_tokens":500}"#
            ]),
            [Some(1500), Some(500), None, None]
        );
    }

    #[test]
    fn later_zeros_of_the_input_say_nothing() {
        let start = r#"{"input_tokens":20,"cache_read_input_tokens":5}"#;
        let delta = r#"{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":84}"#;
        assert_eq!(merged(&[start, delta]), [Some(25), Some(5), None, Some(84)]);
        assert_eq!(merged(&[r#"{"input_tokens":-3}"#])[0], Some(0));
    }

    #[test]
    fn an_output_alone_makes_the_input_zero() {
        let mut usage = Usage::default();
        complete_usage(&mut usage);
        assert!(usage.is_empty());
        merge_usage(&mut usage, br#"{"output_tokens":84}"#);
        complete_usage(&mut usage);
        assert_eq!(
            (usage.input_tokens, usage.total_tokens),
            (Some(0), Some(84))
        );
    }

    #[test]
    fn odd_usage_is_no_usage() {
        assert_eq!(merged(&["7", "null", "[1]x"]), [None; 4]);
    }
}
