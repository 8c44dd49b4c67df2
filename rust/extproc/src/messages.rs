//! The part of `envoy.service.ext_proc.v3` that the sessions speak.
//!
//! Field numbers are Envoy's. Unknown fields of incoming messages are skipped. Bodies and header
//! values are [`Bytes`]: decoding shares the message's buffer.

use std::collections::HashMap;

use bytes::Bytes;
use prost::{Message, Oneof};

/// One message from Envoy.
#[derive(Clone, PartialEq, Message)]
pub struct ProcessingRequest {
    /// What happened.
    #[prost(oneof = "Event", tags = "2, 3, 4, 5, 6, 7")]
    pub event: Option<Event>,
    /// Forwarded dynamic metadata, on every message.
    #[prost(message, optional, tag = "8")]
    pub metadata_context: Option<MetadataContext>,
    /// Requested attributes by filter name, on the first message.
    #[prost(map = "string, message", tag = "9")]
    pub attributes: HashMap<String, Struct>,
}

/// What happened.
#[derive(Clone, PartialEq, Oneof)]
pub enum Event {
    /// Head of the request.
    #[prost(message, tag = "2")]
    RequestHeaders(HttpHeaders),
    /// Head of the reply.
    #[prost(message, tag = "3")]
    ResponseHeaders(HttpHeaders),
    /// Body of the request, or a piece of it.
    #[prost(message, tag = "4")]
    RequestBody(HttpBody),
    /// Body of the reply, or a piece of it.
    #[prost(message, tag = "5")]
    ResponseBody(HttpBody),
    /// End of a request with trailers.
    #[prost(message, tag = "6")]
    RequestTrailers(HttpTrailers),
    /// End of a reply with trailers.
    #[prost(message, tag = "7")]
    ResponseTrailers(HttpTrailers),
}

/// A message head.
#[derive(Clone, PartialEq, Message)]
pub struct HttpHeaders {
    /// The headers, pseudo headers included.
    #[prost(message, optional, tag = "1")]
    pub headers: Option<HeaderMap>,
    /// Nothing follows.
    #[prost(bool, tag = "3")]
    pub end_of_stream: bool,
}

/// A list of headers.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderMap {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<HeaderValue>,
}

/// One header. Envoy fills `raw_value`.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderValue {
    /// Lower-case name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value as text.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Value as bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub raw_value: Bytes,
}

/// Bytes of a body.
#[derive(Clone, PartialEq, Message)]
pub struct HttpBody {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// Nothing follows.
    #[prost(bool, tag = "2")]
    pub end_of_stream: bool,
}

/// Trailers; their fields are of no interest.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct HttpTrailers {}

/// Dynamic metadata by namespace.
#[derive(Clone, PartialEq, Message)]
pub struct MetadataContext {
    /// The namespaces.
    #[prost(map = "string, message", tag = "1")]
    pub filter_metadata: HashMap<String, Struct>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
pub struct Struct {
    /// The members.
    #[prost(map = "string, message", tag = "1")]
    pub fields: HashMap<String, Value>,
}

/// `google.protobuf.Value`, without null, booleans and lists.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// The value; `None` for the kinds left out.
    #[prost(oneof = "Kind", tags = "2, 3, 5")]
    pub kind: Option<Kind>,
}

/// Kind of a [`Value`].
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// A number.
    #[prost(double, tag = "2")]
    Number(f64),
    /// A text.
    #[prost(string, tag = "3")]
    Text(String),
    /// An object.
    #[prost(message, tag = "5")]
    Struct(Struct),
}

/// One message to Envoy.
#[derive(Clone, PartialEq, Message)]
pub struct ProcessingResponse {
    /// What to do.
    #[prost(oneof = "Action", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub action: Option<Action>,
    /// Namespaces to merge into the dynamic metadata.
    #[prost(message, optional, tag = "8")]
    pub dynamic_metadata: Option<Struct>,
    /// Which messages Envoy sends from here on.
    #[prost(message, optional, tag = "9")]
    pub mode_override: Option<ProcessingMode>,
}

/// What to do; the variants answer the [`Event`]s of the same names.
#[derive(Clone, PartialEq, Oneof)]
pub enum Action {
    /// Answers the head of the request.
    #[prost(message, tag = "1")]
    RequestHeaders(CommonReply),
    /// Answers the head of the reply.
    #[prost(message, tag = "2")]
    ResponseHeaders(CommonReply),
    /// Answers the body of the request.
    #[prost(message, tag = "3")]
    RequestBody(CommonReply),
    /// Answers the body of the reply.
    #[prost(message, tag = "4")]
    ResponseBody(CommonReply),
    /// Answers the trailers of the request.
    #[prost(message, tag = "5")]
    RequestTrailers(TrailersReply),
    /// Answers the trailers of the reply.
    #[prost(message, tag = "6")]
    ResponseTrailers(TrailersReply),
    /// Ends the request with this reply.
    #[prost(message, tag = "7")]
    Immediate(ImmediateResponse),
}

/// Answer to a head or a body.
#[derive(Clone, PartialEq, Message)]
pub struct CommonReply {
    /// What to change.
    #[prost(message, optional, tag = "1")]
    pub response: Option<CommonResponse>,
}

/// Answer to trailers: always unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct TrailersReply {}

/// Changes of a head or a body.
#[derive(Clone, PartialEq, Message)]
pub struct CommonResponse {
    /// What happens next.
    #[prost(enumeration = "Status", tag = "1")]
    pub status: i32,
    /// Changes of the headers.
    #[prost(message, optional, tag = "2")]
    pub header_mutation: Option<HeaderMutation>,
    /// Changes of the body.
    #[prost(message, optional, tag = "3")]
    pub body_mutation: Option<BodyMutation>,
    /// Choose the route again.
    #[prost(bool, tag = "5")]
    pub clear_route_cache: bool,
}

/// What happens after a [`CommonResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// Go on.
    Continue = 0,
    /// Go on with this body instead; none is shown.
    ContinueAndReplace = 1,
}

/// Changes of headers: removals first.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderMutation {
    /// Values to set or add.
    #[prost(message, repeated, tag = "1")]
    pub set_headers: Vec<HeaderValueOption>,
    /// Names to remove.
    #[prost(string, repeated, tag = "2")]
    pub remove_headers: Vec<String>,
}

/// A header to set or add.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderValueOption {
    /// The header.
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
    /// Adds a value. Deprecated in the API, and the only form of adding that Envoy's `ext_proc`
    /// honours: the action `Append` is the default of its field and overwrites there.
    #[prost(message, optional, tag = "2")]
    pub append: Option<BoolValue>,
    /// How.
    #[prost(enumeration = "AppendAction", tag = "3")]
    pub append_action: i32,
    /// Keep it when its value is empty.
    #[prost(bool, tag = "4")]
    pub keep_empty_value: bool,
}

/// `google.protobuf.BoolValue`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BoolValue {
    /// The value.
    #[prost(bool, tag = "1")]
    pub value: bool,
}

/// How a header is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum AppendAction {
    /// One more value.
    Append = 0,
    /// Instead of all values.
    Overwrite = 2,
}

/// A new body, or a new piece of it.
#[derive(Clone, PartialEq, Message)]
pub struct BodyMutation {
    /// How.
    #[prost(oneof = "NewBody", tags = "1, 2, 3")]
    pub body: Option<NewBody>,
}

/// How a body changes.
#[derive(Clone, PartialEq, Oneof)]
pub enum NewBody {
    /// These bytes instead.
    #[prost(bytes = "bytes", tag = "1")]
    Replaced(Bytes),
    /// Nothing instead.
    #[prost(bool, tag = "2")]
    Cleared(bool),
    /// The next bytes, in full duplex.
    #[prost(message, tag = "3")]
    Streamed(StreamedBody),
}

/// The next bytes of a body in full duplex.
#[derive(Clone, PartialEq, Message)]
pub struct StreamedBody {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// Nothing follows.
    #[prost(bool, tag = "2")]
    pub end_of_stream: bool,
}

/// A reply of the gateway itself.
#[derive(Clone, PartialEq, Message)]
pub struct ImmediateResponse {
    /// Status.
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Headers.
    #[prost(message, optional, tag = "2")]
    pub headers: Option<HeaderMutation>,
    /// Body.
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
    /// Envoy's response-code details.
    #[prost(string, tag = "5")]
    pub details: String,
}

/// An HTTP status.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct HttpStatus {
    /// The code.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// Which messages Envoy sends. Zero means "default" for heads and trailers, "none" for bodies.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ProcessingMode {
    /// Head of the request.
    #[prost(enumeration = "Send", tag = "1")]
    pub request_headers: i32,
    /// Head of the reply.
    #[prost(enumeration = "Send", tag = "2")]
    pub response_headers: i32,
    /// Body of the request.
    #[prost(enumeration = "BodyMode", tag = "3")]
    pub request_body: i32,
    /// Body of the reply.
    #[prost(enumeration = "BodyMode", tag = "4")]
    pub response_body: i32,
    /// Trailers of the request.
    #[prost(enumeration = "Send", tag = "5")]
    pub request_trailers: i32,
    /// Trailers of the reply.
    #[prost(enumeration = "Send", tag = "6")]
    pub response_trailers: i32,
}

/// Whether heads or trailers are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Send {
    /// Heads are, trailers are not.
    Default = 0,
    /// Sent.
    Send = 1,
    /// Not sent.
    Skip = 2,
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum BodyMode {
    /// Not at all.
    None = 0,
    /// In pieces, each of which waits for its answer.
    Streamed = 1,
    /// Whole.
    Buffered = 2,
    /// In pieces; the answers are a stream of their own.
    FullDuplexStreamed = 4,
}
