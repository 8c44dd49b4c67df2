//! Token counts for Azure OpenAI, which has no counter for chats: counted [here](super::local).
//!
//! Vocabulary: that of the deployment's name where it is the name of a model, else `o200k_base`
//! as an estimate. Dropped by contract: all options of the tokenizer but `return_token_strs`.

use super::local::Counter;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::estimate::{CountJob, TokenCount, vocabulary};
use crate::schema::ApiSchema;
use crate::translate::{Binding, Local, LocalReply};

pub(crate) struct Tokenize(Counter);

impl Local for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::AzureOpenAI;

    fn bind(binding: &Binding<'_>) -> Self {
        let (vocabulary, named) = vocabulary([binding.model]);
        Self(Counter::new(vocabulary, named))
    }

    fn job(&mut self, body: &[u8]) -> Result<CountJob> {
        self.0.job(body)
    }

    fn reply(&self, count: &TokenCount) -> Result<LocalReply> {
        self.0.reply(count)
    }
}
