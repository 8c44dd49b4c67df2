//! OpenAI embeddings to Cohere's `embed`.
//!
//! Rejected (422): token ids, texts with a task of their own, messages, more than 96 texts.
//!
//! Dropped by contract: `user`, `title`, task types that Cohere does not have.
//!
//! Added: `input_type`, from `task_type` or `search_document`.

use serde::{Deserialize, Serialize};

use crate::dialect::cohere;
use crate::endpoint::{Endpoint, join_path};
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::usage::Count;
use crate::wire::Text;
use crate::wire::embeddings::{EmbeddingsRequest, Encoding, Input};
use crate::wire::openai::Raw;

/// Most texts of one request.
const MOST_TEXTS: usize = 96;

pub(crate) struct Embeddings {
    path: String,
    model: String,
    encoding: Encoding,
}

#[derive(Serialize)]
struct EmbedRequest<'a> {
    model: &'a str,
    texts: &'a [Text<'a>],
    input_type: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct EmbedReply<'a> {
    #[serde(borrow)]
    embeddings: Vectors<'a>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Vectors<'a> {
    #[serde(borrow)]
    float: Vec<Raw<'a>>,
}

/// What was billed, or else what the model saw.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    billed_units: Option<Units>,
    tokens: Option<Units>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Units {
    input_tokens: Count,
}

impl Meta {
    fn input_tokens(&self) -> Option<u64> {
        let mut all = self.billed_units.iter().chain(&self.tokens);
        all.find_map(|units| units.input_tokens.0)
    }
}

impl Translate for Embeddings {
    const ENDPOINT: Endpoint = Endpoint::Embeddings;
    const SCHEMA: ApiSchema = ApiSchema::Cohere;
    type Request<'a> = EmbeddingsRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        let (prefix, version) = cohere::base(&binding.backend.schema);
        Self {
            path: join_path(&[prefix, version, "embed"]),
            model: binding.model.to_owned(),
            encoding: Encoding::default(),
        }
    }

    fn request(&mut self, req: &EmbeddingsRequest<'_>) -> Result<Upstream> {
        super::check_forms(req)?;
        self.encoding = req.encoding();
        let input_type = req.task_type.as_deref().map(input_type);
        let body = EmbedRequest {
            model: &self.model,
            texts: texts(req)?,
            input_type: input_type.flatten().unwrap_or("search_document"),
            embedding_types: ["float"],
            output_dimension: req.dimensions,
            truncate: req
                .auto_truncate
                .map(|cut| if cut { "END" } else { "NONE" }),
        };
        let mut upstream = Upstream::json(self.path.clone(), &body)?;
        let dropped = &mut upstream.dropped;
        dropped.note("title", req.title.is_some());
        dropped.note("task_type", input_type == Some(None));
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: EmbedReply<'_> =
            serde_json::from_slice(body).map_err(|_| super::unreadable())?;
        let tokens = reply.meta.and_then(|meta| meta.input_tokens());
        let vectors = reply.embeddings.float.into_iter();
        let vectors = vectors.map(|vector| (vector, false));
        let tokens = tokens.unwrap_or(0);
        super::reply(vectors, self.encoding, &self.model, tokens, out)
    }

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        cohere::provider_error(status, headers, body)
    }
}

/// Google's words for what the vectors are for, in Cohere's.
fn input_type(task: &str) -> Option<&'static str> {
    Some(match task {
        "RETRIEVAL_QUERY" | "QUESTION_ANSWERING" | "CODE_RETRIEVAL_QUERY" => "search_query",
        "RETRIEVAL_DOCUMENT" => "search_document",
        "CLASSIFICATION" => "classification",
        "CLUSTERING" => "clustering",
        _ => return None,
    })
}

fn texts<'a>(req: &'a EmbeddingsRequest<'a>) -> Result<&'a [Text<'a>]> {
    let refused = |why: &str| Err(Error::Untranslatable(why.to_owned()));
    match &req.input {
        Some(Input::Text(text)) => Ok(std::slice::from_ref(text)),
        Some(Input::Texts(texts)) if texts.len() > MOST_TEXTS => {
            refused("input: at most 96 texts are supported")
        }
        Some(Input::Texts(texts)) => Ok(texts),
        Some(Input::Item(_) | Input::Items(_)) => refused("input: unsupported input type object"),
        Some(Input::Tokens(_)) => refused("input: unsupported input type token ids"),
        None if req.messages.is_some() => refused("messages: only input is supported"),
        None => refused("input: required"),
    }
}
