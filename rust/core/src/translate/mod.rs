//! Translators: one file per (endpoint, backend schema) pair.
//!
//! A translator sees a typed request, decoded events and whole unary bodies; framing, chunk
//! splits, head release, retries and errors are the session's job. A passthrough sees less:
//! the members of interest of a reply that goes through untouched.

pub mod chat;
pub mod completions;
pub mod count_tokens;
pub mod embeddings;
pub mod image_edits;
pub mod image_variations;
pub mod images;
pub mod input_tokens;
pub mod messages;
pub mod rerank;
pub mod responses;
pub mod speech;
pub mod tokenize;
pub mod transcriptions;
pub mod translations;

mod dropped;
mod hub;
mod local;
mod passthrough;

pub use dropped::Dropped;
pub(crate) use hub::{ChatSink, Frontend, Via};
pub(crate) use local::{Answer, Answered, Local, LocalReply};
pub use passthrough::ModelIn;
pub(crate) use passthrough::{ANTHROPIC_KEYS, OPENAI_KEYS, anthropic_event, anthropic_unary};
pub(crate) use passthrough::{
    error_object, is_fault, is_json, openai_event, openai_unary, stream_error,
};
pub(crate) use passthrough::{media_event, openai_error, openai_usage};

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::config::Backend;
use crate::dialect::claude::UNSIGNED;
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Result};
use crate::framing::{Event, Framing, TopLevel};
use crate::headers::Headers;
use crate::scan::{Scan, Signatures, place};
use crate::schema::ApiSchema;
use crate::usage::Usage;
use crate::wire::Members;
use crate::wire::openai::{ChatChunk, ChatResponse};

/// What a translator knows of its attempt.
pub struct Binding<'a> {
    /// The backend.
    pub backend: &'a Backend,
    /// Model to name to the provider and, where it reports none, to the client.
    pub model: &'a str,
    /// Model that the client names.
    pub requested_model: &'a str,
    /// The client asked for a stream.
    pub stream: bool,
    /// Unix seconds, for `created` fields.
    pub now: u64,
    /// Random id of the request, for reply ids that the provider does not give.
    pub request_id: u128,
    /// The client's headers, without credentials.
    pub head: &'a Headers,
}

/// The request as the provider must get it.
#[derive(Debug, Default)]
pub struct Upstream {
    /// `:path`, query included.
    pub path: String,
    /// Further headers to set.
    pub headers: Vec<(&'static str, String)>,
    /// Headers to set unless the client sent them.
    pub default_headers: Vec<(&'static str, String)>,
    /// New body; `None` leaves the client's bytes.
    pub body: Option<Vec<u8>>,
    /// What the client asked for and the provider is not told.
    pub dropped: Dropped,
}

impl Upstream {
    /// A JSON request.
    ///
    /// # Errors
    /// [`Error::Internal`] when the value cannot be written.
    pub fn json(path: String, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(Self {
            path,
            headers: vec![("content-type", "application/json".into())],
            body: Some(body),
            ..Self::default()
        })
    }
}

/// What a reply told the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Running totals.
    pub usage: Usage,
    /// Model that the provider reported.
    pub response_model: Option<String>,
}

/// Where a translator puts the client's reply.
pub struct Outbox<'a> {
    bytes: &'a mut Vec<u8>,
    findings: &'a mut Findings,
    /// Takes chat replies in place of an OpenAI client.
    sink: Option<&'a mut dyn ChatSink>,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>, findings: &'a mut Findings) -> Self {
        Self {
            bytes,
            findings,
            sink: None,
        }
    }

    /// The same place, chat replies going through `sink`.
    pub(crate) fn with_sink<'b>(&'b mut self, sink: &'b mut dyn ChatSink) -> Outbox<'b> {
        Outbox {
            bytes: self.bytes,
            findings: self.findings,
            sink: Some(sink),
        }
    }

    /// Runs `chat` with the sink, if there is one.
    fn through_sink(
        &mut self,
        chat: impl FnOnce(&mut dyn ChatSink, &mut Outbox<'_>) -> Result<()>,
    ) -> Option<Result<()>> {
        let sink = self.sink.as_deref_mut()?;
        let out = &mut Outbox::new(self.bytes, self.findings);
        Some(chat(sink, out))
    }

    /// Writes a whole chat completion.
    ///
    /// # Errors
    /// [`Error::Internal`] when the value cannot be written.
    pub(crate) fn completion(&mut self, reply: &ChatResponse<'_>) -> Result<()> {
        match self.through_sink(|sink, out| sink.completion(reply, out)) {
            Some(result) => result,
            None => self.json(reply),
        }
    }

    /// Writes one chunk of a chat stream.
    ///
    /// # Errors
    /// As [`Self::completion`].
    pub(crate) fn chunk(&mut self, chunk: &ChatChunk<'_>) -> Result<()> {
        match self.through_sink(|sink, out| sink.chunk(chunk, out)) {
            Some(result) => result,
            None => self.sse(chunk),
        }
    }

    /// Writes the good end of a chat stream.
    ///
    /// # Errors
    /// As [`Self::completion`].
    pub(crate) fn done(&mut self) -> Result<()> {
        if let Some(result) = self.through_sink(|sink, out| sink.done(out)) {
            return result;
        }
        self.bytes.extend_from_slice(b"data: [DONE]\n\n");
        Ok(())
    }

    /// Writes one unnamed SSE event.
    ///
    /// # Errors
    /// [`Error::Internal`] when the value cannot be written.
    pub fn sse(&mut self, value: &impl Serialize) -> Result<()> {
        self.bytes.extend_from_slice(b"data: ");
        let start = self.bytes.len();
        self.json(value)?;
        // Raw values may have line ends between their tokens, which would end the event.
        for byte in self.bytes.iter_mut().skip(start) {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        self.bytes.extend_from_slice(b"\n\n");
        Ok(())
    }

    /// Writes one named SSE event.
    ///
    /// # Errors
    /// As [`Self::sse`].
    pub fn sse_named(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        self.bytes.extend_from_slice(b"event: ");
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.sse(value)
    }

    /// Writes a JSON value: the whole unary reply.
    ///
    /// # Errors
    /// As [`Self::sse`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut *self.bytes, value).map_err(|e| Error::Internal(e.to_string()))
    }

    /// Writes bytes of the provider as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes one named SSE event whose data is text of the provider.
    pub fn sse_raw(&mut self, name: &str, data: &[u8]) {
        self.raw(b"event: ");
        self.raw(name.as_bytes());
        for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
            self.raw(b"\ndata: ");
            self.raw(line);
        }
        self.raw(b"\n\n");
    }

    /// What was found so far.
    pub(crate) fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    /// Reports running totals; unknown counters leave earlier values.
    pub fn usage(&mut self, usage: &Usage) {
        self.findings.usage.merge(usage);
    }

    /// Reports the provider's model.
    pub fn response_model(&mut self, model: &str) {
        if !model.is_empty() && self.findings.response_model.as_deref() != Some(model) {
            self.findings.response_model = Some(model.to_owned());
        }
    }
}

/// A provider's error reply in the words of the client's API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// `error.type`.
    pub kind: String,
    /// `error.message`; left out when the provider said nothing.
    pub message: Option<String>,
}

/// A pair whose request and reply are rebuilt.
pub trait Translate: Send + Sized + 'static {
    /// Client side of the pair.
    const ENDPOINT: Endpoint;
    /// Provider side of the pair.
    const SCHEMA: ApiSchema;
    /// Framing of the provider's streams.
    const FRAMING: Framing = Framing::Sse;
    /// The client's request.
    type Request<'a>: Deserialize<'a>;

    /// Starts an attempt.
    fn bind(binding: &Binding<'_>) -> Self;

    /// The provider's request. Pure: the same input gives the same output.
    ///
    /// # Errors
    /// [`Error::Untranslatable`] with the field that the provider cannot express.
    fn request(&mut self, req: &Self::Request<'_>) -> Result<Upstream>;

    /// The head of a 2xx reply, before [`Self::response`] and [`Self::event`]: for ids that
    /// providers send as a header.
    fn response_head(&mut self, _headers: &Headers) {}

    /// A whole unary 2xx reply.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when it cannot be read.
    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()>;

    /// One event of a 2xx stream.
    ///
    /// # Errors
    /// [`Error::UpstreamStream`] for an error that the provider reports in the stream,
    /// [`Error::UpstreamProtocol`] for an event that cannot be read.
    fn event(&mut self, _event: Event<'_>, _out: &mut Outbox<'_>) -> Result<()> {
        Err(Error::UpstreamProtocol("a stream was not asked for".into()))
    }

    /// The end of a 2xx stream: end markers, or an error when it came too early.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] for a truncated stream.
    fn end(&mut self, _out: &mut Outbox<'_>) -> Result<()> {
        Err(Error::UpstreamProtocol("a stream was not asked for".into()))
    }

    /// An error that ends a stream whose head is out.
    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        error_event(error, api, out);
    }

    /// A reply outside 2xx.
    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> ProviderError;

    /// Whether a reply outside 2xx is in the client's shape already and goes on as it is.
    fn passes_error(_headers: &Headers, _body: &[u8]) -> bool {
        false
    }
}

/// An error as an event of a stream.
pub(crate) fn error_event(error: &Error, api: ClientApi, out: &mut Vec<u8>) {
    if api == ClientApi::Anthropic {
        out.extend_from_slice(b"event: error\n");
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(&error.body(api));
    out.extend_from_slice(b"\n\n");
}

/// A pair whose bytes go through; only path, model and usage are the gateway's affair.
pub trait Passthrough: Send + Sized + 'static {
    /// Client side of the pair.
    const ENDPOINT: Endpoint;
    /// Provider side of the pair.
    const SCHEMA: ApiSchema;
    /// Top-level members of a unary reply that [`Self::unary`] reads.
    const KEYS: &'static [&'static str];

    /// Where the provider reads the model.
    const MODEL_IN: ModelIn = ModelIn::Body;

    /// `:path` at the provider.
    fn path(binding: &Binding<'_>) -> String;

    /// The provider's request: by default the client's bytes with the model spliced in.
    ///
    /// # Errors
    /// [`Error::Untranslatable`] with the field that the provider cannot express.
    fn request(binding: &Binding<'_>, scan: &Scan, body: &[u8]) -> Result<Upstream> {
        let mut upstream = Upstream {
            path: Self::path(binding),
            body: passthrough::splice(Self::ENDPOINT, Self::MODEL_IN, binding, scan, body),
            ..Upstream::default()
        };
        upstream
            .dropped
            .note(UNSIGNED, scan.signatures == Signatures::SomeEmpty);
        Ok(upstream)
    }

    /// True when [`Self::request`] changes the body whatever the backend's settings.
    const REWRITES: bool = false;

    /// Reads the members of a unary 2xx reply. Never fails: a good reply stays good.
    fn unary(members: &TopLevel, findings: &mut Findings);

    /// Reads one event of a 2xx stream.
    ///
    /// # Errors
    /// [`Error::UpstreamStream`] for an error that the provider reports in the stream.
    fn event(_event: Event<'_>, _findings: &mut Findings) -> Result<()> {
        Ok(())
    }

    /// Whether a reply outside 2xx with this head goes on unread.
    fn keeps_error(headers: &Headers) -> bool {
        is_json(headers)
    }

    /// A reply outside 2xx that is read. `None` keeps its body.
    fn provider_error(status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError> {
        let _ = (status, headers);
        Some(passthrough::plain_error(Self::SCHEMA, body))
    }
}

/// Whether reply bytes are rebuilt or go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyBytes {
    /// Rebuilt by [`Exchange::response`] and [`Exchange::event`].
    Rebuilt,
    /// Untouched, looked at only.
    Untouched,
}

/// One attempt's translator behind one face, whatever the pair.
pub(crate) trait Exchange: Send {
    /// The gateway's own answer; `None` asks the provider.
    fn answer(&mut self, _body: &[u8]) -> Option<Result<Answer>> {
        None
    }
    fn reply_bytes(&self) -> ReplyBytes;
    fn framing(&self) -> Framing;
    fn request(&mut self, binding: &Binding<'_>, scan: &Scan, body: &[u8]) -> Result<Upstream>;
    fn keys(&self) -> &'static [&'static str] {
        &[]
    }
    fn unary(&self, _members: &TopLevel, _findings: &mut Findings) {}
    fn response_head(&mut self, _headers: &Headers) {}
    fn response(&mut self, _body: &[u8], _out: &mut Outbox<'_>) -> Result<()> {
        Ok(())
    }
    fn event(&mut self, _event: Event<'_>, _out: &mut Outbox<'_>) -> Result<()> {
        Ok(())
    }
    fn end(&mut self, _out: &mut Outbox<'_>) -> Result<()> {
        Ok(())
    }
    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        error_event(error, api, out);
    }
    /// The client's body is read or changed for every backend of the pair.
    fn rewrites(&self) -> bool;
    /// An error reply with this head goes on unread.
    fn keeps_error(&self, headers: &Headers) -> bool;
    /// `None` passes the provider's body on.
    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError>;
}

pub(crate) struct Translated<T>(T);

impl<T: Translate> Translated<T> {
    pub(crate) fn boxed(binding: &Binding<'_>) -> Box<dyn Exchange> {
        Box::new(Self(T::bind(binding)))
    }
}

impl<T: Translate> Exchange for Translated<T> {
    fn reply_bytes(&self) -> ReplyBytes {
        ReplyBytes::Rebuilt
    }

    fn framing(&self) -> Framing {
        T::FRAMING
    }

    fn request(&mut self, _binding: &Binding<'_>, _scan: &Scan, body: &[u8]) -> Result<Upstream> {
        let mut dropped = Dropped::default();
        let request = parse(T::ENDPOINT, body, &mut dropped)?;
        let mut upstream = self.0.request(&request)?;
        upstream.dropped.merge(dropped);
        Ok(upstream)
    }

    fn response_head(&mut self, headers: &Headers) {
        self.0.response_head(headers);
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        self.0.response(body, out)
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.0.event(event, out)
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.0.end(out)
    }

    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        self.0.error_event(error, api, out);
    }

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError> {
        (!T::passes_error(headers, body)).then(|| self.0.provider_error(status, headers, body))
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn keeps_error(&self, _headers: &Headers) -> bool {
        false
    }
}

/// Reads the typed request and notes the fields that it does not know. Errors name the field,
/// never its value.
fn parse<'a, R: Deserialize<'a>>(
    endpoint: Endpoint,
    body: &'a [u8],
    dropped: &mut Dropped,
) -> Result<R> {
    let json = &mut serde_json::Deserializer::from_slice(body);
    let request = serde_ignored::deserialize(&mut *json, |path| dropped.unknown(&path));
    request
        .and_then(|request| json.end().map(|()| request))
        .map_err(|_| {
            // Tracking the path costs time, so only refused requests are read with it.
            let json = &mut serde_json::Deserializer::from_slice(body);
            let text = match serde_path_to_error::deserialize::<_, R>(json) {
                Ok(_) => "invalid syntax".to_owned(),
                Err(error) => match error.path().to_string().as_str() {
                    "." => place(error.inner()),
                    field => format!("{field}: {}", place(error.inner())),
                },
            };
            let path = endpoint.path();
            Error::MalformedRequest(format!("failed to parse JSON for {path}: {text}"))
        })
}

/// The members of a body, values unread.
///
/// # Errors
/// [`Error::MalformedRequest`] when it is no JSON object.
pub(crate) fn members(endpoint: Endpoint, body: &[u8]) -> Result<Members<'_>> {
    parse(endpoint, body, &mut Dropped::default())
}

pub(crate) struct Passed<P>(PhantomData<P>);

impl<P: Passthrough> Passed<P> {
    pub(crate) fn boxed(_binding: &Binding<'_>) -> Box<dyn Exchange> {
        Box::new(Self(PhantomData))
    }
}

impl<P: Passthrough> Exchange for Passed<P> {
    fn reply_bytes(&self) -> ReplyBytes {
        ReplyBytes::Untouched
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn request(&mut self, binding: &Binding<'_>, scan: &Scan, body: &[u8]) -> Result<Upstream> {
        P::request(binding, scan, body)
    }

    fn keys(&self) -> &'static [&'static str] {
        P::KEYS
    }

    fn unary(&self, members: &TopLevel, findings: &mut Findings) {
        P::unary(members, findings);
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        P::event(event, out.findings)
    }

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError> {
        P::provider_error(status, headers, body)
    }

    fn rewrites(&self) -> bool {
        P::REWRITES
    }

    fn keeps_error(&self, headers: &Headers) -> bool {
        P::keeps_error(headers)
    }
}
