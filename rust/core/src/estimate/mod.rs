//! Token counts where a provider gives none: exact ones of text that is at hand, else by bytes.
//!
//! "Exact" is the number of tokens that OpenAI's vocabularies make of the text. What a provider
//! adds around it is its own affair, and other vendors cut differently: a count made here is
//! always an estimate of what they would report.

mod job;
mod model;
mod output;
mod prompt;

pub use job::CountJob;
pub(crate) use job::{Subject, TokenCount};
pub(crate) use model::{Named, vocabulary};
pub(crate) use output::{Form, OutputText};
pub(crate) use prompt::Prompt;

use crate::endpoint::{Counted, Endpoint};
use crate::usage::Usage;

/// Text up to this size is cut into tokens on the worker; more would hold it up.
pub(crate) const EXACT_BYTES: usize = 32 * 1024;

/// Tokens of text that is too long to be looked at.
pub(crate) fn by_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// How the reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What the provider reported is final.
    Completed,
    /// Counters that the provider reported on the way may be too low.
    Cut,
}

/// The exchange whose usage is to be completed.
pub(crate) struct Exchanged<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) ending: Ending,
    pub(crate) prompt: &'a Prompt,
    pub(crate) output: &'a OutputText,
    /// Names of the model, the most telling one first.
    pub(crate) models: [&'a str; 2],
}

impl Exchanged<'_> {
    /// Fills in what the provider did not report. True when that was anything.
    pub(crate) fn complete(&self, usage: &mut Usage) -> bool {
        let counted = self.endpoint.counted();
        let reported = *usage;
        if counted == Counted::Nothing || self.is_known(counted, &reported) {
            return false;
        }
        let vocabulary = vocabulary(self.models).0;
        if counted == Counted::Both {
            let output = self.output.tokens(vocabulary);
            usage.output_tokens = Some(reported.output_tokens.unwrap_or(0).max(output));
        }
        if reported.input_tokens.is_none() {
            let budget = EXACT_BYTES.saturating_sub(self.output.kept());
            usage.input_tokens = Some(self.prompt.tokens(vocabulary, budget));
        }
        if usage.input_tokens == reported.input_tokens
            && usage.output_tokens == reported.output_tokens
        {
            return false;
        }
        if reported.total_tokens.is_none() || self.ending == Ending::Cut {
            let (input, output) = (usage.input_tokens, usage.output_tokens);
            usage.total_tokens = input.map(|input| input.saturating_add(output.unwrap_or(0)));
        }
        true
    }

    /// The provider has said all there is to say; a total counts the output in.
    fn is_known(&self, counted: Counted, usage: &Usage) -> bool {
        let output = usage.output_tokens.or(usage.total_tokens).is_some();
        let output = self.ending == Ending::Completed && output;
        usage.input_tokens.is_some() && (output || counted == Counted::Input)
    }
}
