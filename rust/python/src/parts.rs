//! What the steps of an exchange return.

use std::collections::BTreeMap;

use aigw_core::headers::{HeaderEdit, HeaderEdits, Headers};
use aigw_core::metadata::{Metadata, Value};
use aigw_core::session::{self, BodyOut, BodyPlan};
use pyo3::prelude::*;

/// Headers as Python passes them.
pub(crate) type HeaderPairs = Vec<(String, Vec<u8>)>;
/// `(operation, name, value)`; the operations are `set`, `append`, `remove`.
pub(crate) type Edits = Vec<(&'static str, String, Vec<u8>)>;

/// A metadata value in Python.
#[derive(Clone, IntoPyObject)]
pub(crate) enum Scalar {
    /// Text.
    Text(String),
    /// Number.
    Number(f64),
}

/// Metadata in Python.
pub(crate) type Scalars = BTreeMap<String, Scalar>;

pub(crate) fn headers(pairs: &[(String, Vec<u8>)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in pairs {
        headers.push(name.as_bytes(), value);
    }
    headers
}

pub(crate) fn edits(edits: &HeaderEdits) -> Edits {
    edits
        .iter()
        .map(|edit| match edit {
            HeaderEdit::Set(name, value) => ("set", name.to_owned(), value.to_vec()),
            HeaderEdit::Append(name, value) => ("append", name.to_owned(), value.to_vec()),
            HeaderEdit::Remove(name) => ("remove", name.to_owned(), Vec::new()),
        })
        .collect()
}

pub(crate) fn metadata(metadata: Metadata) -> Scalars {
    metadata
        .into_iter()
        .map(|(key, value)| match value {
            Value::Text(text) => (key.into_owned(), Scalar::Text(text)),
            Value::Number(number) => (key.into_owned(), Scalar::Number(number)),
        })
        .collect()
}

/// An answer that the gateway gives itself.
#[pyclass(frozen, get_all, module = "aigw._core")]
pub(crate) struct Reply {
    /// HTTP status.
    status: u16,
    /// Headers besides `content-length`.
    headers: Vec<(&'static str, String)>,
    /// Body.
    body: Vec<u8>,
    /// Stable name.
    kind: &'static str,
}

impl From<aigw_core::error::Reply> for Reply {
    fn from(reply: aigw_core::error::Reply) -> Self {
        Self {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
            kind: reply.kind,
        }
    }
}

/// The provider's request as changes of the client's.
#[pyclass(frozen, get_all, module = "aigw._core")]
pub(crate) struct UpstreamRequest {
    /// Header edits in order.
    edits: Edits,
    /// New body; `None` leaves the client's.
    body: Option<Vec<u8>>,
    /// Dynamic metadata.
    metadata: Scalars,
}

impl From<session::UpstreamRequest> for UpstreamRequest {
    fn from(upstream: session::UpstreamRequest) -> Self {
        Self {
            edits: edits(&upstream.edits),
            body: upstream.body,
            metadata: metadata(upstream.metadata),
        }
    }
}

/// What becomes of a response head.
#[pyclass(frozen, get_all, module = "aigw._core")]
pub(crate) struct ResponseHead {
    /// Header edits in order.
    edits: Edits,
    /// `skip`, `watch` or `replace`.
    body: &'static str,
    /// The head waits for a release.
    hold: bool,
    /// Body to add to a reply without one.
    added_body: Option<Vec<u8>>,
}

impl From<session::ResponseHead> for ResponseHead {
    fn from(head: session::ResponseHead) -> Self {
        Self {
            edits: edits(&head.edits),
            body: match head.body {
                BodyPlan::Skip => "skip",
                BodyPlan::Watch => "watch",
                BodyPlan::Replace => "replace",
            },
            hold: head.hold,
            added_body: head.added_body,
        }
    }
}

/// What becomes of a chunk.
#[pyclass(frozen, get_all, module = "aigw._core")]
pub(crate) struct BodyStep {
    /// Edits that release a held head.
    release: Option<Edits>,
    /// Bytes instead of this chunk and those held before it; `None` lets them through.
    replaced: Option<Vec<u8>>,
}

impl BodyStep {
    pub(crate) fn new(step: &session::BodyStep, output: Vec<u8>) -> Self {
        Self {
            release: step.release.as_ref().map(edits),
            replaced: (step.body == BodyOut::Replace).then_some(output),
        }
    }
}
