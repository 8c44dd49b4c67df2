//! Claude's counters: input excludes cache traffic, later totals replace earlier ones.

use serde::Deserialize;

use crate::usage::{Count, Usage};
use crate::wire::anthropic::Raw;
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

/// The counters of one message as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    uncached: Option<u64>,
    cached: Option<u64>,
    created: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Tally {
    /// The usage of a whole message; counters that it leaves out are zero.
    pub(super) fn of_message(raw: Raw<'_>) -> Self {
        let mut tally = Self::default();
        tally.merge(raw);
        tally.complete();
        tally
    }

    /// The usage of `message_start`. Its output is left out: it counts the first token only.
    pub(super) fn start(&mut self, raw: Raw<'_>) {
        self.merge(raw);
        self.cached.get_or_insert(0);
        self.created.get_or_insert(0);
        self.output = None;
    }

    /// Totals that replace what was known before.
    pub(super) fn merge(&mut self, raw: Raw<'_>) {
        // A usage figure never fails a good reply.
        let counters: Option<Counters> = serde_json::from_str(raw.get()).unwrap_or_default();
        let counters = counters.unwrap_or_default();
        let details = counters.output_tokens_details.unwrap_or_default();
        for (mine, theirs) in [
            (&mut self.uncached, counters.input_tokens),
            (&mut self.cached, counters.cache_read_input_tokens),
            (&mut self.created, counters.cache_creation_input_tokens),
            (&mut self.output, counters.output_tokens),
            (&mut self.reasoning, details.thinking_tokens),
        ] {
            *mine = theirs.0.or(*mine);
        }
    }

    /// The end of a message that told any usage: what is still unknown is zero.
    pub(super) fn complete(&mut self) {
        for counter in [
            &mut self.uncached,
            &mut self.cached,
            &mut self.created,
            &mut self.output,
            &mut self.reasoning,
        ] {
            counter.get_or_insert(0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.usage().is_empty()
    }

    /// Under the gateway's convention.
    pub(super) fn usage(&self) -> Usage {
        let input_known = self.uncached.or(self.cached).or(self.created).is_some();
        let input = input_known.then(|| self.uncached.unwrap_or(0));
        Usage {
            reasoning_tokens: self.reasoning,
            ..Usage::with_explicit_caching(input, self.output, self.cached, self.created)
        }
    }
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
    use serde_json::value::RawValue;

    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn repeated_totals_are_not_added() {
        let text =
            r#"{"input_tokens":9,"cache_read_input_tokens":1,"cache_creation_input_tokens":0}"#;
        let mut tally = Tally::default();
        tally.start(raw(text));
        tally.merge(raw(text));
        assert_eq!(tally.usage().input_tokens, Some(10));
    }

    #[test]
    fn later_cache_counters_replace_theirs_alone() {
        let mut tally = Tally::default();
        tally.start(raw(
            r#"{"input_tokens":20,"cache_read_input_tokens":5,"cache_creation_input_tokens":3}"#,
        ));
        tally.merge(raw(
            r#"{"cache_read_input_tokens":7,"cache_creation_input_tokens":2}"#,
        ));
        assert_eq!(tally.usage().input_tokens, Some(29));
    }

    #[test]
    fn odd_usage_is_no_usage() {
        let mut tally = Tally::default();
        tally.merge(raw("7"));
        tally.merge(raw("null"));
        assert!(tally.is_empty());
    }
}
