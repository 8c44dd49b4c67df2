//! The core's decisions as ext_proc messages.

use std::collections::HashMap;

use aigw_core::error::Reply;
use aigw_core::headers::{HeaderEdit, HeaderEdits, Headers};
use aigw_core::metadata::{self, Metadata};
use bytes::Bytes;
use prost::Message;

use crate::messages::{
    Action, AppendAction, BodyMutation, BoolValue, CommonReply, CommonResponse, HeaderMap,
    HeaderMutation, HeaderValue, HeaderValueOption, HttpStatus, ImmediateResponse, Kind, NewBody,
    ProcessingResponse, StreamedBody, Struct, TrailersReply, Value,
};

/// Encoded messages, in the order in which Envoy gets them.
pub(crate) type Replies = Vec<Bytes>;

/// Name of the filter whose attributes come with its first message.
pub(crate) const ATTRIBUTES: &str = "envoy.filters.http.ext_proc";

/// [`metadata::SECURITY_POLICY`] of the route that the request has so far.
const ROUTE_POLICY: &str =
    "xds.route_metadata.filter_metadata['aigateway.envoy.io']['security_policy']";

/// Security policy of the route, empty without one.
pub(crate) fn route_policy(attributes: Option<&Struct>) -> &str {
    attribute(attributes, ROUTE_POLICY).unwrap_or_default()
}

/// A text among the attributes, unless it is empty.
pub(crate) fn attribute<'a>(attributes: Option<&'a Struct>, name: &str) -> Option<&'a str> {
    match attributes?.fields.get(name)?.kind.as_ref()? {
        Kind::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// An answer, ready for metadata and a mode.
pub(crate) fn response(action: Action) -> ProcessingResponse {
    ProcessingResponse {
        action: Some(action),
        ..ProcessingResponse::default()
    }
}

/// Encodes an answer.
pub(crate) fn send(response: &ProcessingResponse, out: &mut Replies) {
    out.push(response.encode_to_vec().into());
}

/// A message of no interest is answered unchanged.
pub(crate) fn unchanged() -> CommonReply {
    common(CommonResponse::default())
}

/// Wraps changes.
pub(crate) fn common(response: CommonResponse) -> CommonReply {
    CommonReply {
        response: Some(response),
    }
}

/// Edits of a head.
pub(crate) fn edited(edits: &HeaderEdits) -> CommonResponse {
    CommonResponse {
        header_mutation: header_mutation(edits),
        ..CommonResponse::default()
    }
}

/// A whole new body.
pub(crate) fn replaced(body: Bytes) -> BodyMutation {
    let body = if body.is_empty() {
        NewBody::Cleared(true)
    } else {
        NewBody::Replaced(body)
    };
    BodyMutation { body: Some(body) }
}

/// The next piece of a body in full duplex.
pub(crate) fn piece(body: Bytes) -> ProcessingResponse {
    let streamed = StreamedBody {
        body,
        end_of_stream: false,
    };
    response(Action::ResponseBody(common(CommonResponse {
        body_mutation: Some(BodyMutation {
            body: Some(NewBody::Streamed(streamed)),
        }),
        ..CommonResponse::default()
    })))
}

/// Marks the last piece of a body in full duplex.
pub(crate) fn mark_end(response: &mut ProcessingResponse) {
    if let Some(Action::ResponseBody(CommonReply {
        response: Some(common),
    })) = &mut response.action
        && let Some(BodyMutation {
            body: Some(NewBody::Streamed(streamed)),
        }) = &mut common.body_mutation
    {
        streamed.end_of_stream = true;
    }
}

/// Trailers stay as they are.
pub(crate) fn trailers() -> ProcessingResponse {
    response(Action::ResponseTrailers(TrailersReply {}))
}

/// The gateway's own reply. Envoy's response-code details become `aigw_<kind>`.
pub(crate) fn immediate(reply: Reply) -> ProcessingResponse {
    let mut edits = HeaderEdits::new();
    for (name, value) in &reply.headers {
        edits.set(name, value.as_bytes());
    }
    response(Action::Immediate(ImmediateResponse {
        status: Some(HttpStatus {
            code: reply.status.into(),
        }),
        headers: header_mutation(&edits),
        body: reply.body.into(),
        details: format!("aigw_{}", reply.kind),
    }))
}

/// Metadata in the namespace of the gateway; `None` when there is none.
pub(crate) fn dynamic_metadata(metadata: Metadata) -> Option<Struct> {
    if metadata.is_empty() {
        return None;
    }
    let fields = metadata
        .into_iter()
        .map(|(key, value)| (key.into_owned(), Value::from(value)))
        .collect();
    let namespace = Value {
        kind: Some(Kind::Struct(Struct { fields })),
    };
    Some(Struct {
        fields: HashMap::from([(metadata::NAMESPACE.to_owned(), namespace)]),
    })
}

impl From<metadata::Value> for Value {
    fn from(value: metadata::Value) -> Self {
        let kind = match value {
            metadata::Value::Text(text) => Kind::Text(text),
            metadata::Value::Number(number) => Kind::Number(number),
        };
        Self { kind: Some(kind) }
    }
}

/// Envoy's list of headers as the core reads it.
pub(crate) fn headers(map: Option<&HeaderMap>) -> Headers {
    let mut headers = Headers::new();
    for header in map.into_iter().flat_map(|map| &map.headers) {
        let value = if header.raw_value.is_empty() {
            header.value.as_bytes()
        } else {
            &header.raw_value
        };
        headers.push(header.key.as_bytes(), value);
    }
    headers
}

/// Adds the edits of `later` to `first`; the later ones win.
pub(crate) fn merge(first: &mut HeaderEdits, later: &HeaderEdits) {
    for edit in later.iter() {
        match edit {
            HeaderEdit::Set(name, value) => first.set(name, value),
            HeaderEdit::Append(name, value) => first.append(name, value),
            HeaderEdit::Remove(name) => first.remove(name),
        }
    }
}

fn header_mutation(edits: &HeaderEdits) -> Option<HeaderMutation> {
    if edits.is_empty() {
        return None;
    }
    let mut mutation = HeaderMutation::default();
    for edit in edits.iter() {
        match edit {
            HeaderEdit::Set(name, value) => {
                let option = header_option(name, value, AppendAction::Overwrite);
                mutation.set_headers.push(option);
            }
            HeaderEdit::Append(name, value) => {
                let option = header_option(name, value, AppendAction::Append);
                mutation.set_headers.push(option);
            }
            HeaderEdit::Remove(name) => mutation.remove_headers.push(name.to_owned()),
        }
    }
    Some(mutation)
}

fn header_option(name: &str, value: &[u8], action: AppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: String::new(),
            raw_value: Bytes::copy_from_slice(value),
        }),
        append: (action == AppendAction::Append).then_some(BoolValue { value: true }),
        append_action: action.into(),
        keep_empty_value: value.is_empty(),
    }
}
