//! Token counts of the gateway's own, for backends that have no counter: OpenAI's vocabularies,
//! embedded.
//!
//! A `prompt` is counted as it is, a text that looks like a special token as text. Of `messages`
//! and `tools` the text is counted, media is not, and OpenAI's documented overhead of messages is
//! added. Where the model's name tells OpenAI's vocabulary, the count of a prompt is exact and
//! `tokens` holds the ids; everything else is an estimate, says so in a header and has no ids.

use serde::Deserialize;

use crate::bpe::Vocabulary;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::estimate::{CountJob, Named, Subject, TokenCount};
use crate::translate::{Dropped, LocalReply, parse};
use crate::wire::tokenize::TokenizeReply;

/// Response header of a count that is an estimate.
const ESTIMATED: &str = "x-aigw-estimated";

/// Counts with one vocabulary.
pub(super) struct Counter {
    pub(super) vocabulary: &'static Vocabulary,
    /// Whether it is the vocabulary of the model.
    pub(super) named: Named,
    strings: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Form {
    prompt: Option<String>,
    messages: Option<serde::de::IgnoredAny>,
    return_token_strs: Option<bool>,
}

impl Counter {
    pub(super) fn new(vocabulary: &'static Vocabulary, named: Named) -> Self {
        Self {
            vocabulary,
            named,
            strings: false,
        }
    }

    pub(super) fn job(&mut self, body: &[u8]) -> Result<CountJob> {
        let form: Form = parse(Endpoint::Tokenize, body, &mut Dropped::default())?;
        self.strings = form.return_token_strs == Some(true);
        let subject = match form.messages {
            Some(_) => Subject::Request(body.into()),
            None => Subject::Text(form.prompt.unwrap_or_default()),
        };
        Ok(CountJob::new(subject, self.vocabulary))
    }

    pub(super) fn reply(&self, count: &TokenCount) -> Result<LocalReply> {
        let exact = count.ids.as_deref().filter(|_| self.named == Named::Known);
        let reply = TokenizeReply {
            tokens: exact.map(<[u32]>::to_vec),
            token_strs: exact.filter(|_| self.strings).map(|ids| self.strings(ids)),
            ..TokenizeReply::counted(count.tokens)
        };
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if exact.is_none() {
            headers.push((ESTIMATED, "true".to_owned()));
        }
        Ok(LocalReply {
            headers,
            body: serde_json::to_vec(&reply).map_err(|e| Error::Internal(e.to_string()))?,
        })
    }

    /// Tokens that end within a character have the replacement character for it.
    fn strings(&self, ids: &[u32]) -> Vec<String> {
        let text = |id: &u32| String::from_utf8_lossy(self.vocabulary.token(*id)).into_owned();
        ids.iter().map(text).collect()
    }
}
