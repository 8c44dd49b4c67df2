//! Where Claude runs besides Anthropic: paths, versions, model features and stream frames of
//! AWS and Google.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::request::Gate;
use crate::dialect::aws_path::push_segment;
use crate::dialect::gcp_path::publisher_path;
use crate::error::{Error, Result};
use crate::framing::{Event, EventKind};
use crate::wire::Text;

/// A host of the Messages API whose path names the model.
pub(crate) struct Host {
    /// `anthropic_version` unless the backend sets one.
    default_version: &'static str,
    /// Models with `output_config.format`.
    pub(crate) structured_output: Gate,
    /// Models with `output_config.effort`.
    pub(crate) effort: Gate,
    path: fn(&str, bool) -> String,
}

impl Host {
    /// `:path` of a request; a `stream` has its own.
    pub(crate) fn path(&self, model: &str, stream: bool) -> String {
        (self.path)(model, stream)
    }

    /// The `anthropic_version` member.
    pub(crate) fn version<'a>(&self, configured: &'a str) -> &'a str {
        if configured.is_empty() {
            self.default_version
        } else {
            configured
        }
    }
}

/// Bedrock's `InvokeModel`.
pub(crate) const AWS: Host = Host {
    default_version: "bedrock-2023-05-31",
    structured_output: Gate::Models(&[
        "opus-4-5",
        "sonnet-4-5",
        "haiku-4-5",
        "opus-4-6",
        "sonnet-4-6",
    ]),
    effort: EFFORT,
    path: aws_path,
};

/// Vertex AI's `rawPredict`.
pub(crate) const GCP: Host = Host {
    default_version: "vertex-2023-10-16",
    structured_output: Gate::Models(&[
        "opus-4-5",
        "sonnet-4-5",
        "haiku-4-5",
        "opus-4-6",
        "sonnet-4-6",
        "opus-4-7",
        "opus-4-8",
        "sonnet-5",
        "fable-5",
        "mythos-5",
        "mythos-preview",
    ]),
    effort: EFFORT,
    path: gcp_path,
};

const EFFORT: Gate = Gate::Models(&[
    "opus-4-5",
    "opus-4-6",
    "opus-4-7",
    "opus-4-8",
    "sonnet-4-6",
    "sonnet-5",
    "fable-5",
    "mythos-5",
    "mythos-preview",
]);

fn aws_path(model: &str, stream: bool) -> String {
    let mut path = String::from("/model/");
    push_segment(&mut path, model);
    path.push_str(if stream {
        "/invoke-with-response-stream"
    } else {
        "/invoke"
    });
    path
}

fn gcp_path(model: &str, stream: bool) -> String {
    let method = if stream {
        "streamRawPredict"
    } else {
        "rawPredict"
    };
    publisher_path("anthropic", model, method)
}

/// `:path` of Vertex AI's token counter, a model of its own.
pub(crate) fn gcp_count_path() -> String {
    publisher_path("anthropic", "count-tokens", "rawPredict")
}

/// The model as Vertex AI's counter names it: without a version that names none.
pub(crate) fn gcp_base_model(model: &str) -> &str {
    let model = model.strip_suffix("@default").unwrap_or(model);
    model.strip_suffix("@latest").unwrap_or(model)
}

/// Whether Bedrock's `model` is one of Anthropic's.
pub(crate) fn is_claude(model: &str) -> bool {
    model.contains("anthropic") || model.contains("claude")
}

/// The Anthropic event inside a frame of Bedrock's stream: `{"bytes":"<base64>"}`. `None` for
/// frames of another form.
///
/// # Errors
/// [`Error::UpstreamProtocol`] for bytes that are not base64.
pub(crate) fn inner_event(event: Event<'_>) -> Result<Option<Vec<u8>>> {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        bytes: Text<'a>,
    }
    if event.kind == EventKind::Exception {
        return Err(crate::dialect::converse::exception(event));
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(event.data) else {
        return Ok(None);
    };
    STANDARD
        .decode(chunk.bytes.as_bytes())
        .map(Some)
        .map_err(|_| Error::UpstreamProtocol("the bytes of a chunk are not base64".into()))
}
