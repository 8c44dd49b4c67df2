//! OpenAI embeddings to Amazon Titan on AWS Bedrock, one text at a time.
//!
//! Rejected (422): several texts, token ids, texts with a task, messages.
//!
//! Dropped by contract: `user`, `auto_truncate`, `task_type`, `title`.

use serde::{Deserialize, Serialize};

use crate::dialect::claude::AWS;
use crate::dialect::converse;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{
    Binding, Outbox, ProviderError, Translate, Upstream, is_json, openai_error,
};
use crate::usage::Count;
use crate::wire::Members;
use crate::wire::embeddings::{EmbeddingsRequest, Encoding, Input};
use crate::wire::openai::Raw;

pub(crate) struct Embeddings {
    model: String,
    encoding: Encoding,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Titan<'a> {
    input_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct TitanReply<'a> {
    #[serde(borrow)]
    embedding: Raw<'a>,
    #[serde(default)]
    input_text_token_count: Count,
}

impl Translate for Embeddings {
    const ENDPOINT: Endpoint = Endpoint::Embeddings;
    const SCHEMA: ApiSchema = ApiSchema::AWSBedrock;
    type Request<'a> = EmbeddingsRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: binding.model.to_owned(),
            encoding: Encoding::default(),
        }
    }

    fn request(&mut self, req: &EmbeddingsRequest<'_>) -> Result<Upstream> {
        super::check_forms(req)?;
        self.encoding = req.encoding();
        let body = Titan {
            input_text: only_text(req)?,
            dimensions: req.dimensions,
        };
        let mut upstream = Upstream::json(AWS.path(&self.model, false), &body)?;
        let dropped = &mut upstream.dropped;
        dropped.note("auto_truncate", req.auto_truncate.is_some());
        dropped.note("task_type", req.task_type.is_some());
        dropped.note("title", req.title.is_some());
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let titan: TitanReply<'_> =
            serde_json::from_slice(body).map_err(|_| super::unreadable())?;
        let tokens = titan.input_text_token_count.0.unwrap_or(0);
        let vectors = std::iter::once((titan.embedding, false));
        super::reply(vectors, self.encoding, &self.model, tokens, out)
    }

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        if is_foreign(headers) {
            return openai_error(Self::SCHEMA, status, headers, body);
        }
        converse::provider_error(headers, body)
    }

    /// A gateway in front of Bedrock answers in the client's words.
    fn passes_error(headers: &Headers, body: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(rename = "error", borrow)]
            _error: Members<'a>,
        }
        is_foreign(headers) && serde_json::from_slice::<Body<'_>>(body).is_ok()
    }
}

/// JSON that Bedrock itself has not written.
fn is_foreign(headers: &Headers) -> bool {
    is_json(headers) && headers.get("x-amzn-errortype").is_none()
}

fn only_text<'a>(req: &'a EmbeddingsRequest<'_>) -> Result<&'a str> {
    let refused = |why: &str| Err(Error::Untranslatable(why.to_owned()));
    match &req.input {
        Some(Input::Text(text)) => Ok(text),
        Some(Input::Texts(texts)) => match texts.as_slice() {
            [text] => Ok(text),
            many => refused(&format!(
                "AWS Bedrock Titan does not support batch embeddings (got {} inputs)",
                many.len()
            )),
        },
        Some(Input::Item(_) | Input::Items(_)) => refused("input: unsupported input type object"),
        Some(Input::Tokens(_)) => refused("input: unsupported input type token ids"),
        None if req.messages.is_some() => refused(
            "AWS Bedrock Titan requires an input-based embedding request (messages not supported)",
        ),
        None => refused("input: required"),
    }
}
