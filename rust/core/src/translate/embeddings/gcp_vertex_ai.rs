//! OpenAI embeddings to Vertex AI: `predict` of text models, `embedContent` of Gemini's.
//!
//! Rejected (422): token ids; messages where the model takes texts only; several inputs, and
//! texts with a task of their own, where the model takes one.
//!
//! Dropped by contract: `user`; messages that are not the user's; a title without the task
//! `RETRIEVAL_DOCUMENT`, where the provider takes titles of documents only.

use serde::{Deserialize, Serialize};

use crate::dialect::gemini;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::usage::Count;
use crate::wire::embeddings::{EmbeddingsRequest, Encoding, Input, Item};
use crate::wire::gemini::Part;
use crate::wire::openai::{Message, Raw, Role};

/// What is wrong with an input.
const CONVERTING: &str = "error converting EmbeddingRequest";
/// The task that titles belong to.
const DOCUMENT: &str = "RETRIEVAL_DOCUMENT";

pub(crate) struct Embeddings {
    model: String,
    method: Method,
    encoding: Encoding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// Many texts.
    Predict,
    /// One content of any kind.
    EmbedContent,
}

impl Method {
    fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        if model.contains("gemini") && model != "gemini-embedding-001" {
            Self::EmbedContent
        } else {
            Self::Predict
        }
    }
}

impl Translate for Embeddings {
    const ENDPOINT: Endpoint = Endpoint::Embeddings;
    const SCHEMA: ApiSchema = ApiSchema::GCPVertexAI;
    type Request<'a> = EmbeddingsRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: binding.model.to_owned(),
            method: Method::of(binding.model),
            encoding: Encoding::default(),
        }
    }

    fn request(&mut self, req: &EmbeddingsRequest<'_>) -> Result<Upstream> {
        super::check_forms(req)?;
        self.encoding = req.encoding();
        match self.method {
            Method::Predict => self.predict(req),
            Method::EmbedContent => self.embed_content(req),
        }
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        match self.method {
            Method::Predict => self.predicted(body, out),
            Method::EmbedContent => self.embedded(body, out),
        }
    }

    fn provider_error(&self, _status: u16, _headers: &Headers, body: &[u8]) -> ProviderError {
        gemini::provider_error(body)
    }
}

fn unsupported(kind: &str) -> Error {
    converting(&format!(
        "unsupported input type for embedding: {kind} (supported: string, []string, \
         EmbeddingInputItem, []EmbeddingInputItem)"
    ))
}

fn converting(why: &str) -> Error {
    Error::UntranslatablePart {
        part: CONVERTING,
        why: why.to_owned(),
    }
}

// --- predict ---

#[derive(Serialize)]
struct PredictRequest<'a> {
    instances: Vec<Instance<'a>>,
    parameters: Parameters,
}

#[derive(Serialize)]
struct Instance<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_truncate: Option<bool>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct PredictReply<'a> {
    #[serde(default, borrow)]
    predictions: Option<Vec<Option<Prediction<'a>>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Values<'a>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Values<'a> {
    #[serde(borrow)]
    values: Raw<'a>,
    #[serde(default)]
    statistics: Option<Statistics>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Statistics {
    token_count: Count,
    truncated: Option<bool>,
}

impl Embeddings {
    fn predict(&self, req: &EmbeddingsRequest<'_>) -> Result<Upstream> {
        if req.messages.is_some() {
            let model = &self.model;
            return Err(Error::Untranslatable(format!(
                "model {model} does not support multimodal embedding via messages"
            )));
        }
        let mut instances = instances(req)?;
        let task = req.task_type.as_deref().filter(|task| !task.is_empty());
        for instance in &mut instances {
            instance.task_type = task.or(instance.task_type);
            let title = req.title.as_deref().filter(|title| !title.is_empty());
            let titled = instance.task_type == Some(DOCUMENT);
            instance.title = title.or(instance.title).filter(|_| titled);
        }
        let untitled = req.title.is_some() && instances.iter().any(|one| one.title.is_none());
        let body = PredictRequest {
            instances,
            parameters: Parameters {
                output_dimensionality: req.dimensions.filter(|count| *count > 0),
                auto_truncate: req.auto_truncate,
            },
        };
        let path = gemini::path(&self.model, "predict")?;
        let mut upstream = Upstream::json(path, &body)?;
        upstream.dropped.note("title", untitled);
        Ok(upstream)
    }

    fn predicted(&self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: PredictReply<'_> =
            serde_json::from_slice(body).map_err(|_| super::unreadable())?;
        let mut tokens = 0_u64;
        let mut vectors = Vec::new();
        for prediction in reply.predictions.into_iter().flatten() {
            // A vector that is missing would shift all that follow.
            let found = prediction.ok_or_else(super::unreadable)?.embeddings;
            let statistics = found.statistics.unwrap_or_default();
            tokens = tokens.saturating_add(statistics.token_count.0.unwrap_or(0));
            vectors.push((found.values, statistics.truncated == Some(true)));
        }
        super::reply(vectors.into_iter(), self.encoding, &self.model, tokens, out)
    }
}

fn instances<'a>(req: &'a EmbeddingsRequest<'a>) -> Result<Vec<Instance<'a>>> {
    let plain = |content: &'a str| Instance {
        content,
        task_type: None,
        title: None,
    };
    match &req.input {
        Some(Input::Text(text)) => Ok(vec![plain(text)]),
        Some(Input::Texts(texts)) => Ok(texts.iter().map(|text| plain(text)).collect()),
        Some(Input::Item(item)) => Ok(of_item(item).collect()),
        Some(Input::Items(items)) => Ok(items.iter().flat_map(of_item).collect()),
        Some(Input::Tokens(form)) => Err(unsupported(form)),
        None => Err(unsupported("none")),
    }
}

fn of_item<'a>(item: &'a Item<'a>) -> impl Iterator<Item = Instance<'a>> {
    let texts = item.content.texts().iter();
    texts.map(|content| Instance {
        content,
        task_type: item.task_type.as_deref().filter(|task| !task.is_empty()),
        title: item.title.as_deref().filter(|title| !title.is_empty()),
    })
}

// --- embedContent ---

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedRequest<'a> {
    content: EmbedContent<'a>,
    #[serde(skip_serializing_if = "EmbedConfig::is_empty")]
    embed_content_config: EmbedConfig<'a>,
}

#[derive(Serialize)]
struct EmbedContent<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EmbedConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

impl EmbedConfig<'_> {
    fn is_empty(&self) -> bool {
        self.output_dimensionality.is_none()
            && self.auto_truncate.is_none()
            && self.task_type.is_none()
            && self.title.is_none()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct EmbedReply<'a> {
    #[serde(borrow)]
    embedding: Option<EmbedValues<'a>>,
    usage_metadata: Option<EmbedUsage>,
    truncated: Option<bool>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct EmbedValues<'a> {
    #[serde(borrow)]
    values: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EmbedUsage {
    prompt_token_count: Count,
}

impl Embeddings {
    fn embed_content(&self, req: &EmbeddingsRequest<'_>) -> Result<Upstream> {
        let body = EmbedRequest {
            content: EmbedContent {
                parts: self.parts(req)?,
            },
            embed_content_config: EmbedConfig {
                output_dimensionality: req.dimensions.filter(|count| *count > 0),
                auto_truncate: req.auto_truncate,
                task_type: req.task_type.as_deref().filter(|task| !task.is_empty()),
                title: req.title.as_deref().filter(|title| !title.is_empty()),
            },
        };
        let mut upstream = Upstream::json(gemini::path(&self.model, "embedContent")?, &body)?;
        let others = |message: &Message<'_>| message.role != Role::User;
        let mut messages = req.messages.iter().flatten();
        upstream.dropped.note("messages[]", messages.any(others));
        Ok(upstream)
    }

    fn parts<'a>(&self, req: &'a EmbeddingsRequest<'a>) -> Result<Vec<Part<'a>>> {
        let text = |text: &'a str| Part {
            text: Some(text),
            ..Part::default()
        };
        if let Some(messages) = &req.messages {
            let parts = gemini::embed_parts(messages, &self.model)?;
            if parts.is_empty() {
                return Err(converting("no user messages found in embedding request"));
            }
            return Ok(parts);
        }
        match &req.input {
            Some(Input::Text(one)) => Ok(vec![text(one)]),
            Some(Input::Texts(texts)) if texts.len() > 1 => Err(converting(&format!(
                "model {} does not support batch embeddings; send one input per request",
                self.model
            ))),
            Some(Input::Texts(texts)) => Ok(texts.iter().map(|one| text(one)).collect()),
            Some(Input::Item(_) | Input::Items(_)) => Err(converting(
                "object input with per-item task_type/title is not supported for this model; use \
                 plain string input and set task_type at the request level",
            )),
            Some(Input::Tokens(form)) => Err(unsupported(form)),
            None => Err(unsupported("none")),
        }
    }

    fn embedded(&self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: EmbedReply<'_> =
            serde_json::from_slice(body).map_err(|_| super::unreadable())?;
        let vectors = reply.embedding.into_iter();
        let truncated = reply.truncated == Some(true);
        let vectors = vectors.map(|embedding| (embedding.values, truncated));
        let usage = reply.usage_metadata.unwrap_or_default();
        let tokens = usage.prompt_token_count.0.unwrap_or(0);
        super::reply(vectors, self.encoding, &self.model, tokens, out)
    }
}
