//! Token counts by Gemini's `countTokens`.
//!
//! Rejected as for [chat](crate::translate::chat::gcp_vertex_ai), and requests without any
//! content. Dropped by contract: all other options of the tokenizer.

use serde::Deserialize;

use crate::dialect::gemini;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::usage::Count;
use crate::wire::tokenize::{TokenizeReply, TokenizeRequest};

pub(crate) struct Tokenize {
    model: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Counted {
    total_tokens: Count,
}

impl Translate for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::GCPVertexAI;
    type Request<'a> = TokenizeRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: binding.model.to_owned(),
        }
    }

    fn request(&mut self, req: &TokenizeRequest<'_>) -> Result<Upstream> {
        let resolution = req.media_resolution.as_deref();
        let body = gemini::count_request(&req.chat, resolution, &self.model)?;
        let path = gemini::path(&self.model, "countTokens")?;
        let mut upstream = Upstream::json(path, &body)?;
        gemini::note_messages(&req.chat, &self.model, &mut upstream.dropped);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let counted: Option<Counted> = serde_json::from_slice(body).unwrap_or_default();
        let count = counted.and_then(|counted| counted.total_tokens.0);
        let count =
            count.ok_or_else(|| Error::UpstreamProtocol("the reply has no token count".into()))?;
        out.json(&TokenizeReply::counted(count))
    }

    fn provider_error(&self, _status: u16, _headers: &Headers, body: &[u8]) -> ProviderError {
        gemini::provider_error(body)
    }
}
