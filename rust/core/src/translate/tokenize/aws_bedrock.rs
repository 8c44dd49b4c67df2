//! Token counts by Bedrock's `CountTokens`, messages in Converse's words.
//!
//! Rejected as for [chat](crate::translate::chat::aws_bedrock). Dropped by contract: all
//! options of the tokenizer.

use crate::dialect::claude::token_count;
use crate::dialect::converse;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::tokenize::{TokenizeReply, TokenizeRequest};

pub(crate) struct Tokenize {
    model: String,
}

impl Translate for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::AWSBedrock;
    type Request<'a> = TokenizeRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: binding.model.to_owned(),
        }
    }

    fn request(&mut self, req: &TokenizeRequest<'_>) -> Result<Upstream> {
        let body = converse::count_request(&req.chat, &self.model)?;
        let mut upstream = Upstream::json(converse::count_path(&self.model), &body)?;
        let media = req.media_resolution.is_some();
        upstream.dropped.note("media_resolution", media);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        out.json(&TokenizeReply::counted(token_count(body)?))
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        converse::provider_error(headers, body)
    }
}
