//! The reply side of one attempt: head, body in chunks, end.

use super::signs::{is_last, is_sealed, is_stream};
use super::{Attempt, Request};
use crate::endpoint::ClientApi;
use crate::error::{Error, Result, provider_error_body};
use crate::estimate::{Form, OutputText};
use crate::framing::{Decoder, Event, TopLevel, Unpacker};
use crate::headers::{HeaderEdits, Headers};
use crate::record::{AttemptRecord, Outcome};
use crate::session::request::Ended;
use crate::translate::{Dropped, Exchange, Findings, Outbox, ReplyBytes};
use crate::usage::Usage;

/// Response header with the request's fields that the provider was not told, sorted.
pub const DROPPED_FIELDS: &str = "x-aigw-dropped-fields";

/// What a host does with a response head and the body behind it.
#[derive(Debug)]
pub struct ResponseHead {
    /// Edits of the response header map, to apply now.
    pub edits: HeaderEdits,
    /// How the body is handled.
    pub body: BodyPlan,
    /// Hold the head until a [`BodyStep::release`].
    pub hold: bool,
    /// Body to add when the head was all there was.
    pub added_body: Option<Vec<u8>>,
}

/// How a host handles a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// Let it through unseen.
    Skip,
    /// Show every chunk to [`Attempt::response_body`]; bytes go through unless it says otherwise.
    Watch,
    /// As `Watch`, and every chunk will be replaced.
    Replace,
}

/// What becomes of a chunk.
#[derive(Debug)]
pub struct BodyStep {
    /// Release a held head after these edits.
    pub release: Option<HeaderEdits>,
    /// What becomes of the bytes.
    pub body: BodyOut,
}

/// What becomes of the bytes of a chunk, and of bytes held back before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOut {
    /// They go through; with a held head they wait for it.
    Pass,
    /// They are replaced by the output, which may be empty.
    Replace,
}

/// What the reply is.
enum Kind {
    /// Nothing is expected to be said about it.
    Unseen,
    /// A unary passthrough reply: members are watched.
    Watched(TopLevel),
    /// A unary reply to translate, collected whole.
    Collected(Vec<u8>),
    /// An error reply to translate, collected whole.
    Failed {
        status: u16,
        headers: Headers,
        body: Vec<u8>,
    },
    /// A stream.
    Stream(Decoder),
    /// Bytes that cannot be used; this is what the client gets instead.
    Refused(Vec<u8>),
    /// Over: later bytes are dropped.
    Over,
}

/// State of the reply side.
pub(super) struct ReplySide {
    pub(super) record: AttemptRecord,
    kind: Kind,
    unpacker: Option<Unpacker>,
    pub(super) held: bool,
    pending: Vec<u8>,
    pub(super) findings: Findings,
    pub(super) reported: Findings,
    api: ClientApi,
    pub(super) stream: bool,
    pub(super) model: String,
    /// What the client gets to read, for estimates.
    pub(super) output: OutputText,
    /// Value of [`DROPPED_FIELDS`].
    dropped: Option<String>,
    pub(super) first_output_ns: Option<u64>,
    pub(super) last_output_ns: u64,
    pub(super) events: u64,
    /// The stream said that it is complete; bytes may still follow.
    whole: bool,
    pub(super) end: End,
}

/// How far the reply is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// More may come.
    Open,
    /// It ended well; final counts are not reported yet.
    Completed,
    /// It is over and reported.
    Over,
}

impl ReplySide {
    pub(super) fn new(request: &Request, model: &str) -> Self {
        Self {
            record: AttemptRecord::default(),
            kind: Kind::Unseen,
            unpacker: None,
            held: false,
            pending: Vec::new(),
            findings: Findings::default(),
            reported: Findings::default(),
            api: request.endpoint.client_api(),
            stream: request.stream(),
            model: model.to_owned(),
            output: OutputText::default(),
            dropped: None,
            first_output_ns: None,
            last_output_ns: 0,
            events: 0,
            whole: false,
            end: End::Open,
        }
    }

    /// What the provider is not told; the reply's head says so.
    pub(super) fn dropped(&mut self, dropped: &Dropped) {
        self.dropped = dropped.header();
        self.record.dropped_fields = dropped.names();
    }

    /// No provider was asked.
    pub(super) fn answered(&mut self) {
        self.record.status = 200;
        self.record.outcome = Outcome::Completed;
        self.end = End::Over;
    }

    pub(super) fn status_is_ok(&self) -> bool {
        (200..=299).contains(&self.record.status)
    }

    pub(super) fn usage(&self) -> Usage {
        self.findings.usage
    }

    pub(super) fn record(&self) -> AttemptRecord {
        AttemptRecord {
            usage: self.findings.usage,
            response_model: self.findings.response_model.clone(),
            first_output_ns: self.first_output_ns,
            last_output_ns: self.first_output_ns.map(|_| self.last_output_ns),
            ..self.record.clone()
        }
    }
}

impl Attempt {
    /// The head of the provider's reply.
    pub fn response_head(&mut self, status: u16, headers: &Headers, ended: Ended) -> ResponseHead {
        let mut head = self.plan_head(status, headers, ended);
        if let Some(names) = &self.reply.dropped {
            head.edits.set(DROPPED_FIELDS, names.as_bytes());
        }
        head
    }

    fn plan_head(&mut self, status: u16, headers: &Headers, ended: Ended) -> ResponseHead {
        self.reply.record.status = status;
        self.reply.unpacker = Unpacker::new(headers, self.request.limits.response_body_bytes);
        if (200..=299).contains(&status) {
            self.exchange.response_head(headers);
        }
        let streamed = self.reply.stream && is_stream(headers);
        match (status, self.exchange.reply_bytes()) {
            // HTTP gives these no body: the client would take one for its next reply.
            (..=199 | 304, _) => {
                self.refused_head(&format!("the status {status} is no answer"), ended)
            }
            (200..=299, ReplyBytes::Rebuilt) if ended == Ended::Yes => {
                self.refused_head("the reply has no body", ended)
            }
            // Its events cannot be seen, so nothing can be waited for.
            (200..=299, ReplyBytes::Rebuilt) if streamed && is_sealed(headers) => {
                self.refused_head("the stream has an encoding that was not asked for", ended)
            }
            (200..=299, ReplyBytes::Untouched) if streamed && is_sealed(headers) => {
                self.finish_ok()
            }
            (200..=299, _) if ended == Ended::Yes => self.finish_ok(),
            (200..=299, ReplyBytes::Untouched) if streamed => self.hold_stream(BodyPlan::Watch),
            (200..=299, ReplyBytes::Rebuilt) if streamed => {
                let mut head = self.hold_stream(BodyPlan::Replace);
                head.edits.set("content-type", "text/event-stream");
                head.edits.remove("content-encoding");
                head
            }
            (200..=299, ReplyBytes::Untouched) => {
                self.reply.kind = Kind::Watched(TopLevel::new(self.exchange.keys()));
                self.reply.output = OutputText::new(self.request.endpoint, Form::Whole);
                plain(BodyPlan::Watch)
            }
            (200..=299, ReplyBytes::Rebuilt) => {
                self.reply.kind = Kind::Collected(Vec::new());
                self.reply.output = OutputText::new(self.request.endpoint, Form::Whole);
                self.reply.held = true;
                ResponseHead {
                    hold: true,
                    ..plain(BodyPlan::Replace)
                }
            }
            _ => self.failed_head(status, headers, ended),
        }
    }

    fn finish_ok(&mut self) -> ResponseHead {
        self.reply.record.outcome = Outcome::Completed;
        self.reply.end = End::Over;
        plain(BodyPlan::Skip)
    }

    /// A 2xx head that cannot lead to a reply for this client.
    fn refused_head(&mut self, reason: &str, ended: Ended) -> ResponseHead {
        let error = Error::UpstreamProtocol(reason.into());
        self.note_failure(&error);
        self.reply.record.status = error.status();
        let body = error.body(self.reply.api);
        let mut head = plain(BodyPlan::Replace);
        head.edits.set(":status", error.status().to_string());
        head.edits.set("content-type", "application/json");
        head.edits.remove("content-length");
        head.edits.remove("content-encoding");
        match ended {
            Ended::Yes => head.added_body = Some(body),
            Ended::No => self.reply.kind = Kind::Refused(body),
        }
        head
    }

    fn hold_stream(&mut self, body: BodyPlan) -> ResponseHead {
        self.reply.kind = Kind::Stream(Decoder::new(self.exchange.framing()));
        self.reply.output = OutputText::new(self.request.endpoint, Form::Events);
        self.reply.held = true;
        let mut head = ResponseHead {
            hold: true,
            ..plain(body)
        };
        head.edits.remove("content-length");
        head
    }

    /// Heads outside 2xx are never held: Envoy decides on them at once.
    fn failed_head(&mut self, status: u16, headers: &Headers, ended: Ended) -> ResponseHead {
        self.reply.record.outcome = Outcome::Failed;
        if self.exchange.keeps_error(headers) {
            self.reply.end = End::Over;
            return plain(BodyPlan::Skip);
        }
        let mut head = plain(BodyPlan::Replace);
        head.edits.set("content-type", "application/json");
        head.edits.remove("content-length");
        head.edits.remove("content-encoding");
        if ended == Ended::Yes {
            head.added_body = Some(self.error_reply(status, headers, b""));
            self.reply.end = End::Over;
        } else {
            self.reply.kind = Kind::Failed {
                status,
                headers: headers.clone(),
                body: Vec::new(),
            };
        }
        head
    }

    fn error_reply(&self, status: u16, headers: &Headers, body: &[u8]) -> Vec<u8> {
        // Bytes that cannot be unpacked are no text for anyone.
        let body = if is_sealed(headers) { b"" } else { body };
        match self.exchange.provider_error(status, headers, body) {
            Some(error) => provider_error_body(self.reply.api, status, &error, headers),
            None => body.to_vec(),
        }
    }

    /// The next bytes of the reply body. `at_ns` is the time since the start of the request;
    /// `out` must be empty and receives the output of [`BodyOut::Replace`].
    pub fn response_body(
        &mut self,
        chunk: &[u8],
        ended: Ended,
        at_ns: u64,
        out: &mut Vec<u8>,
    ) -> BodyStep {
        let Some(unpacker) = &mut self.reply.unpacker else {
            return self.plain_body(chunk, ended, at_ns, out);
        };
        match unpacker.feed(chunk) {
            Ok(plain) => self.plain_body(&plain, ended, at_ns, out),
            Err(error) => self.cannot_unpack(&error, ended, out),
        }
    }

    /// A rebuilt reply cannot go on, later bytes are dropped; a watched one goes on unseen.
    fn cannot_unpack(&mut self, error: &Error, ended: Ended, out: &mut Vec<u8>) -> BodyStep {
        self.reply.unpacker = None;
        match std::mem::replace(&mut self.reply.kind, Kind::Over) {
            Kind::Failed {
                status, headers, ..
            } => {
                out.extend_from_slice(&self.error_reply(status, &headers, b""));
                self.reply.end = End::Over;
                step(None, BodyOut::Replace)
            }
            Kind::Over => step(None, BodyOut::Replace),
            _ if self.exchange.reply_bytes() == ReplyBytes::Rebuilt => self.fail_stream(error, out),
            _ => self.unseen(ended),
        }
    }

    /// A watched reply that cannot be followed goes on all the same.
    fn unseen(&mut self, ended: Ended) -> BodyStep {
        self.reply.kind = Kind::Unseen;
        if ended == Ended::Yes && self.reply.end == End::Open {
            self.complete();
        }
        let release = std::mem::take(&mut self.reply.held).then(HeaderEdits::new);
        step(release, BodyOut::Pass)
    }

    fn plain_body(
        &mut self,
        chunk: &[u8],
        ended: Ended,
        at_ns: u64,
        out: &mut Vec<u8>,
    ) -> BodyStep {
        let limit = self.request.limits.response_body_bytes;
        match std::mem::replace(&mut self.reply.kind, Kind::Over) {
            Kind::Unseen => self.unseen(ended),
            Kind::Over => step(None, BodyOut::Replace),
            Kind::Watched(mut members) => {
                self.mark_output(at_ns);
                members.feed(chunk);
                self.reply.output.chunk(chunk);
                if ended == Ended::Yes {
                    self.exchange.unary(&members, &mut self.reply.findings);
                    self.complete();
                }
                self.reply.kind = Kind::Watched(members);
                step(None, BodyOut::Pass)
            }
            Kind::Collected(mut body) => {
                self.mark_output(at_ns);
                body.extend_from_slice(chunk);
                if body.len() as u64 > limit {
                    return self.fail(
                        &Error::UpstreamProtocol("the reply is too large".into()),
                        out,
                    );
                }
                if ended == Ended::No {
                    self.reply.kind = Kind::Collected(body);
                    return step(None, BodyOut::Replace);
                }
                self.translate_unary(&body, out)
            }
            Kind::Failed {
                status,
                headers,
                mut body,
            } => {
                if body.len() as u64 <= limit {
                    body.extend_from_slice(chunk);
                }
                if ended == Ended::Yes {
                    out.extend_from_slice(&self.error_reply(status, &headers, &body));
                    self.reply.end = End::Over;
                } else {
                    self.reply.kind = Kind::Failed {
                        status,
                        headers,
                        body,
                    };
                }
                step(None, BodyOut::Replace)
            }
            Kind::Refused(body) => {
                out.extend_from_slice(&body);
                step(None, BodyOut::Replace)
            }
            Kind::Stream(decoder) => self.stream_chunk(decoder, chunk, ended, at_ns, out),
        }
    }

    fn translate_unary(&mut self, body: &[u8], out: &mut Vec<u8>) -> BodyStep {
        let mut outbox = Outbox::new(out, &mut self.reply.findings);
        if let Err(error) = self.exchange.response(body, &mut outbox) {
            out.clear();
            return self.fail(&error, out);
        }
        self.reply.output.chunk(out);
        self.complete();
        self.reply.held = false;
        let mut edits = HeaderEdits::new();
        edits.set("content-type", "application/json");
        edits.set("content-length", out.len().to_string());
        edits.remove("content-encoding");
        step(Some(edits), BodyOut::Replace)
    }

    fn stream_chunk(
        &mut self,
        mut decoder: Decoder,
        chunk: &[u8],
        ended: Ended,
        at_ns: u64,
        out: &mut Vec<u8>,
    ) -> BodyStep {
        let before = self.reply.events;
        let result = self.run_events(&mut decoder, chunk, ended);
        if self.reply.events > before {
            self.mark_output(at_ns);
        }
        match result {
            Err(Error::UpstreamProtocol(_))
                if self.exchange.reply_bytes() == ReplyBytes::Untouched =>
            {
                return self.unseen(ended);
            }
            Err(error) => return self.fail_stream(&error, out),
            Ok(()) if ended == Ended::Yes => self.complete(),
            Ok(()) => {}
        }
        self.reply.kind = Kind::Stream(decoder);
        let body = match self.exchange.reply_bytes() {
            ReplyBytes::Untouched => BodyOut::Pass,
            ReplyBytes::Rebuilt => BodyOut::Replace,
        };
        let ready = match body {
            BodyOut::Pass => self.reply.events > 0,
            BodyOut::Replace => !self.reply.pending.is_empty(),
        };
        let release = (self.reply.held && (ready || ended == Ended::Yes)).then(HeaderEdits::new);
        if release.is_some() {
            self.reply.held = false;
        }
        if !self.reply.held {
            out.append(&mut self.reply.pending);
        }
        step(release, body)
    }

    fn run_events(&mut self, decoder: &mut Decoder, chunk: &[u8], ended: Ended) -> Result<()> {
        let reply = &mut self.reply;
        let exchange: &mut dyn Exchange = self.exchange.as_mut();
        let untouched = exchange.reply_bytes() == ReplyBytes::Untouched;
        let mut sink = |event: Event<'_>| {
            reply.events += 1;
            let written = reply.pending.len();
            let outbox = &mut Outbox::new(&mut reply.pending, &mut reply.findings);
            exchange.event(event, outbox)?;
            let seen = if untouched {
                Some(event.data)
            } else {
                reply.pending.get(written..)
            };
            let seen = seen.unwrap_or_default();
            reply.whole |= is_last(event.name, seen);
            reply.output.event(seen);
            Ok(())
        };
        decoder.feed(chunk, &mut sink)?;
        if ended == Ended::Yes {
            decoder.finish(&mut sink)?;
            exchange.end(&mut Outbox::new(&mut reply.pending, &mut reply.findings))?;
        }
        Ok(())
    }

    /// An error before the head is out becomes a status, which Envoy may retry; later it
    /// becomes an error event, and the stream has no success marker.
    fn fail_stream(&mut self, error: &Error, out: &mut Vec<u8>) -> BodyStep {
        if self.reply.held {
            self.reply.pending.clear();
            return self.fail(error, out);
        }
        let untouched = self.exchange.reply_bytes() == ReplyBytes::Untouched;
        self.note_failure(error);
        self.cut_usage();
        if untouched {
            // The client sees the provider's own error event.
            self.reply.kind = Kind::Unseen;
            return step(None, BodyOut::Pass);
        }
        out.append(&mut self.reply.pending);
        self.exchange.error_event(error, self.reply.api, out);
        step(None, BodyOut::Replace)
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) -> BodyStep {
        self.note_failure(error);
        self.reply.held = false;
        self.reply.record.status = error.status();
        out.extend_from_slice(&error.body(self.reply.api));
        let mut edits = HeaderEdits::new();
        edits.set(":status", error.status().to_string());
        edits.set("content-type", "application/json");
        // Bytes of the provider may still come and are dropped, so the length is known.
        edits.set("content-length", out.len().to_string());
        edits.remove("content-encoding");
        step(Some(edits), BodyOut::Replace)
    }

    fn note_failure(&mut self, error: &Error) {
        self.reply.record.outcome = Outcome::Failed;
        error
            .row()
            .kind
            .clone_into(&mut self.reply.record.error_kind);
        self.reply.end = End::Over;
    }

    fn complete(&mut self) {
        self.reply.record.outcome = Outcome::Completed;
        self.reply.end = End::Completed;
        self.complete_usage();
        if self.reply.findings.response_model.is_none() && !self.reply.model.is_empty() {
            self.reply.findings.response_model = Some(self.reply.model.clone());
        }
    }

    fn mark_output(&mut self, at_ns: u64) {
        self.reply.first_output_ns.get_or_insert(at_ns);
        self.reply.last_output_ns = at_ns;
    }

    /// The reply ended without its last bytes: reset, timeout, client gone. Many clients leave
    /// at the last event of a stream, before its end.
    pub fn abort(&mut self, outcome: Outcome) {
        if self.reply.end != End::Open {
            return;
        }
        if self.reply.whole && !self.reply.held {
            self.complete();
        } else {
            self.cut_usage();
            self.reply.record.outcome = outcome;
            self.reply.end = End::Over;
        }
    }
}

fn plain(body: BodyPlan) -> ResponseHead {
    ResponseHead {
        edits: HeaderEdits::new(),
        body,
        hold: false,
        added_body: None,
    }
}

fn step(release: Option<HeaderEdits>, body: BodyOut) -> BodyStep {
    BodyStep { release, body }
}
