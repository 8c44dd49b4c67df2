//! Token counts by Bedrock's `CountTokens`, messages in Claude's words.
//!
//! Rejected as for [chat](crate::translate::chat::aws_anthropic). Dropped by contract: all
//! options of the tokenizer, tools without a function.

use crate::dialect::claude::{self, AWS, aws_count_body, count_request, token_count};
use crate::dialect::converse;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::tokenize::{TokenizeReply, TokenizeRequest};

pub(crate) struct Tokenize {
    path: String,
    version: String,
}

impl Translate for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::AWSAnthropic;
    type Request<'a> = TokenizeRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            path: converse::claude_count_path(binding.model),
            version: AWS.version(&binding.backend.schema.version).to_owned(),
        }
    }

    fn request(&mut self, req: &TokenizeRequest<'_>) -> Result<Upstream> {
        let mut inner = count_request(&req.chat, &self.version)?;
        // Bedrock takes no body without a limit.
        inner.max_tokens = Some(1);
        let mut upstream = Upstream::json(self.path.clone(), &aws_count_body(&inner)?)?;
        let media = req.media_resolution.is_some();
        upstream.dropped.note("media_resolution", media);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        out.json(&TokenizeReply::counted(token_count(body)?))
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        claude::aws_error(headers, body)
    }
}
