//! Token counts for Cohere, whose counter takes no chats: counted [here](super::local).
//!
//! Vocabulary: `o200k_base`; Cohere's own is another, so every count is an estimate. Dropped by
//! contract: all options of the tokenizer.

use super::local::Counter;
use crate::bpe::O200K;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::estimate::{CountJob, Named, TokenCount};
use crate::schema::ApiSchema;
use crate::translate::{Binding, Local, LocalReply};

pub(crate) struct Tokenize(Counter);

impl Local for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::Cohere;

    fn bind(_binding: &Binding<'_>) -> Self {
        Self(Counter::new(&O200K, Named::Unknown))
    }

    fn job(&mut self, body: &[u8]) -> Result<CountJob> {
        self.0.job(body)
    }

    fn reply(&self, count: &TokenCount) -> Result<LocalReply> {
        self.0.reply(count)
    }
}
