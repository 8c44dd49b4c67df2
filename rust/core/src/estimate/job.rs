//! Tokens of a `/tokenize` request, counted in the step that asks or on another thread.

use std::fmt;
use std::sync::OnceLock;

use super::prompt::{self, text_bytes};
use super::{EXACT_BYTES, by_bytes};
use crate::bpe::Vocabulary;

/// Longer texts are not cut into tokens at all: the thread has others to serve.
const LONGEST: usize = 4 * 1024 * 1024;
/// A thread that is busy for longer is not worth waiting for.
const TIMEOUT_MS: u64 = 2_000;

/// What is counted.
#[derive(Debug)]
pub(crate) enum Subject {
    /// This text alone.
    Text(String),
    /// The messages and tools of a request, and what is put around them.
    Request(Box<[u8]>),
}

/// A count.
#[derive(Debug, Default)]
pub(crate) struct TokenCount {
    pub(crate) tokens: u64,
    /// Ids of the tokens, where it is a text that was cut.
    pub(crate) ids: Option<Vec<u32>>,
}

/// A count to make. [`CountJob::run`] may take long; it blocks nobody on a thread of its own.
pub struct CountJob {
    subject: Subject,
    vocabulary: &'static Vocabulary,
    count: OnceLock<TokenCount>,
}

impl fmt::Debug for CountJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountJob({} bytes)", self.len())
    }
}

impl CountJob {
    /// Made at once where it is short, or too long to be waited for.
    pub(crate) fn new(subject: Subject, vocabulary: &'static Vocabulary) -> Self {
        let job = Self {
            subject,
            vocabulary,
            count: OnceLock::new(),
        };
        match job.len() {
            0..=EXACT_BYTES => job.run(),
            LONGEST.. => job.give_up(),
            _ => {}
        }
        job
    }

    fn len(&self) -> usize {
        match &self.subject {
            Subject::Text(text) => text.len(),
            Subject::Request(body) => body.len(),
        }
    }

    /// Counts.
    pub fn run(&self) {
        self.count.get_or_init(|| match &self.subject {
            Subject::Text(text) => {
                let ids = self.vocabulary.encode(text);
                TokenCount {
                    tokens: ids.len() as u64,
                    ids: Some(ids),
                }
            }
            Subject::Request(body) => TokenCount {
                tokens: prompt::request_tokens(body, self.vocabulary),
                ids: None,
            },
        });
    }

    /// The count is there.
    pub fn is_done(&self) -> bool {
        self.count.get().is_some()
    }

    /// Longest wait in milliseconds.
    pub fn timeout_ms(&self) -> u64 {
        TIMEOUT_MS
    }

    /// Estimates by bytes, unless the count is there.
    pub(crate) fn give_up(&self) {
        let bytes = match &self.subject {
            Subject::Text(text) => text.len() as u64,
            Subject::Request(body) => text_bytes(body),
        };
        let _ = self.count.set(TokenCount {
            tokens: by_bytes(bytes),
            ids: None,
        });
    }

    pub(crate) fn count(&self) -> Option<&TokenCount> {
        self.count.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::O200K;

    fn text(length: usize) -> CountJob {
        CountJob::new(Subject::Text("word ".repeat(length / 5)), &O200K)
    }

    #[test]
    fn short_texts_are_counted_at_once_and_endless_ones_by_bytes() {
        let count = |job: &CountJob| job.count().map(|count| (count.tokens, count.ids.is_some()));
        assert_eq!(count(&text(1_000)), Some((201, true)));
        let long = text(EXACT_BYTES * 2);
        assert_eq!(count(&long), None);
        long.run();
        assert_eq!(count(&long), Some((13_108, true)));
        long.give_up();
        assert_eq!(count(&long), Some((13_108, true)));
        let given_up = text(EXACT_BYTES * 2);
        given_up.give_up();
        assert_eq!(count(&given_up), Some((16_384, false)));
        assert_eq!(count(&text(LONGEST + 5)), Some((1_048_577, false)));
    }

    #[test]
    fn text_does_not_show() {
        assert_eq!(format!("{:?}", text(10)), "CountJob(10 bytes)");
    }
}
