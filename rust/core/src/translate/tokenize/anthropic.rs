//! Token counts by Anthropic's counter, which is free of charge.
//!
//! Rejected as for [chat](crate::translate::chat::anthropic). Dropped by contract: all options
//! of the tokenizer, tools without a function.

use crate::dialect::claude::{self, count_request, token_count};
use crate::endpoint::{Endpoint, join_path};
use crate::error::Result;
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::tokenize::{TokenizeReply, TokenizeRequest};

/// API version that the bodies are written for.
const VERSION: &str = "2023-06-01";

pub(crate) struct Tokenize {
    path: String,
    model: String,
}

impl Translate for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::Anthropic;
    type Request<'a> = TokenizeRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        let prefix = match binding.backend.schema.prefix.as_str() {
            "" => "v1",
            prefix => prefix,
        };
        Self {
            path: join_path(&[prefix, "messages/count_tokens"]),
            model: binding.model.to_owned(),
        }
    }

    fn request(&mut self, req: &TokenizeRequest<'_>) -> Result<Upstream> {
        let mut body = count_request(&req.chat, "")?;
        body.model = Some(&self.model);
        let mut upstream = Upstream::json(self.path.clone(), &body)?;
        let version = ("anthropic-version", VERSION.to_owned());
        upstream.default_headers.push(version);
        let media = req.media_resolution.is_some();
        upstream.dropped.note("media_resolution", media);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        out.json(&TokenizeReply::counted(token_count(body)?))
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        claude::provider_error(headers, body, "AnthropicBackendError")
    }
}
