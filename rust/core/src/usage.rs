//! Token usage under one convention, whatever the provider reports.

use serde::{Deserialize, Serialize};

/// Running totals of one attempt. `None` means the provider has not said.
///
/// `input_tokens` includes cached and cache-creation tokens; `output_tokens` includes
/// reasoning tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input_tokens: Option<u64>,
    /// Generated tokens, reasoning included.
    pub output_tokens: Option<u64>,
    /// Sum as reported, or input + output.
    pub total_tokens: Option<u64>,
    /// Part of the input that was read from a prompt cache.
    pub cached_input_tokens: Option<u64>,
    /// Part of the input that was written to a prompt cache.
    pub cache_creation_input_tokens: Option<u64>,
    /// Part of the output that was reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Overrides every counter that `newer` knows: providers report totals, not differences.
    pub fn merge(&mut self, newer: &Self) {
        for (mine, theirs) in self.fields_mut().into_iter().zip(newer.fields()) {
            if theirs.1.is_some() {
                *mine = theirs.1;
            }
        }
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, value)| value.is_none())
    }

    /// Usage of the Anthropic and Bedrock kind, where `input` excludes cache traffic.
    ///
    /// The total is always input + output: those providers' own totals leave parts out.
    pub fn with_explicit_caching(
        input: Option<u64>,
        output: Option<u64>,
        cache_read: Option<u64>,
        cache_write: Option<u64>,
    ) -> Self {
        let input = input.map(|n| {
            n.saturating_add(cache_read.unwrap_or(0))
                .saturating_add(cache_write.unwrap_or(0))
        });
        Self {
            input_tokens: input,
            output_tokens: output,
            total_tokens: match (input, output) {
                (Some(i), Some(o)) => Some(i.saturating_add(o)),
                _ => None,
            },
            cached_input_tokens: cache_read,
            cache_creation_input_tokens: cache_write,
            reasoning_tokens: None,
        }
    }

    /// Name and value of each counter, in a fixed order.
    pub fn fields(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("input_tokens", self.input_tokens),
            ("output_tokens", self.output_tokens),
            ("total_tokens", self.total_tokens),
            ("cached_input_tokens", self.cached_input_tokens),
            (
                "cache_creation_input_tokens",
                self.cache_creation_input_tokens,
            ),
            ("reasoning_tokens", self.reasoning_tokens),
        ]
    }

    fn fields_mut(&mut self) -> [&mut Option<u64>; 6] {
        [
            &mut self.input_tokens,
            &mut self.output_tokens,
            &mut self.total_tokens,
            &mut self.cached_input_tokens,
            &mut self.cache_creation_input_tokens,
            &mut self.reasoning_tokens,
        ]
    }
}

/// A token count as providers write it: integers of any sign, floats, or null.
///
/// Negative counts become 0, fractions are cut, anything else is unknown: a usage figure never
/// fails a good reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let count = value
            .as_u64()
            .or_else(|| value.as_i64().map(|_| 0))
            .or_else(|| {
                let float = value.as_f64().filter(|f| f.is_finite())?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "`as` saturates, which is the rule for counts"
                )]
                let cut = float as u64;
                Some(cut)
            });
        Ok(Self(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_totals_override_and_unknown_ones_do_not() {
        let mut usage = Usage {
            input_tokens: Some(3),
            output_tokens: Some(1),
            ..Usage::default()
        };
        usage.merge(&Usage {
            output_tokens: Some(9),
            ..Usage::default()
        });
        assert_eq!(
            (usage.input_tokens, usage.output_tokens),
            (Some(3), Some(9))
        );
    }

    #[test]
    fn explicit_caching_counts_cache_traffic_as_input() {
        let usage = Usage::with_explicit_caching(Some(10), Some(5), Some(100), Some(7));
        assert_eq!(
            (usage.input_tokens, usage.total_tokens),
            (Some(117), Some(122))
        );
    }

    #[test]
    fn odd_counts_never_fail() {
        for (text, want) in [
            ("7", Some(7)),
            ("-1", Some(0)),
            ("2.9", Some(2)),
            ("null", None),
            ("\"x\"", None),
        ] {
            assert_eq!(
                serde_json::from_str::<Count>(text).unwrap().0,
                want,
                "{text}"
            );
        }
    }
}
