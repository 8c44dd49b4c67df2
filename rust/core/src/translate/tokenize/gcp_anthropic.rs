//! Token counts by Vertex AI's counter for Claude.
//!
//! Rejected as for [chat](crate::translate::chat::gcp_anthropic). Dropped by contract: all
//! options of the tokenizer, tools without a function.

use crate::dialect::claude::{
    self, GCP, count_request, gcp_base_model, gcp_count_path, token_count,
};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::tokenize::{TokenizeReply, TokenizeRequest};

pub(crate) struct Tokenize {
    model: String,
    version: String,
}

impl Translate for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::GCPAnthropic;
    type Request<'a> = TokenizeRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: gcp_base_model(binding.model).to_owned(),
            version: GCP.version(&binding.backend.schema.version).to_owned(),
        }
    }

    fn request(&mut self, req: &TokenizeRequest<'_>) -> Result<Upstream> {
        let mut body = count_request(&req.chat, &self.version)?;
        body.model = Some(&self.model);
        let mut upstream = Upstream::json(gcp_count_path(), &body)?;
        let media = req.media_resolution.is_some();
        upstream.dropped.note("media_resolution", media);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        out.response_model(&self.model);
        out.json(&TokenizeReply::counted(token_count(body)?))
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        claude::provider_error(headers, body, "GCPAnthropicBackendError")
    }
}
