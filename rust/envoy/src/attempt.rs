//! The attempt filter: one try at one backend, and the reply that it gets.

use std::sync::Arc;

use aigw_core::credential_override::DynamicMetadata;
use aigw_core::error::{Error, Reply};
use aigw_core::metadata::CONFIGURED;
use aigw_core::session::{BodyOut, BodyPlan, BodyStep, Ended};
use aigw_runtime::{Exchange, Flow, Prepared, Ticket};

use crate::abi::{MetadataOf, Moment, Side, Stream};
use crate::config::{FilterConfig, Role};
use crate::filter::{Step, not_ready, route_policy};
use crate::{panics, table};

/// Host and cluster metadata that name the backend where the filter config does not.
const BACKEND_KEY: &str = "per_route_rule_backend_name";

/// Members of objects in dynamic metadata, which Envoy's interface does not show: a filter before
/// this one leaves them as filter state under this and the path.
const MEMBERS: &str = "aigw.metadata";

/// One attempt. Retries get a filter of their own.
pub(crate) struct AttemptFilter {
    config: Arc<FilterConfig>,
    flow: Option<Flow>,
    request: RequestState,
    reply: ReplyState,
    /// Bytes that Envoy holds in several pieces.
    scratch: Vec<u8>,
    /// Output of the core.
    out: Vec<u8>,
}

enum RequestState {
    /// The body is on its way and needed.
    Collecting,
    /// Something else is awaited; the wake-up call is out.
    Waiting(Ticket),
    /// Prepared, or never to be: bytes go on.
    Passing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReplyState {
    /// The bytes are not looked at.
    Unseen,
    /// The bytes go by the core, the head is out.
    Open,
    /// As `Open`, and the head waits for the core.
    Held,
}

impl DynamicMetadata for Stream<'_> {
    fn text(&self, path: &[&str]) -> Option<String> {
        if let [namespace, key] = path {
            let found = self.metadata_text(MetadataOf::Request, namespace, key);
            return found.map(str::to_owned);
        }
        let key = format!("{MEMBERS}:{}", path.join(":"));
        let found = self.filter_state(&key)?;
        Some(String::from_utf8_lossy(found).into_owned())
    }
}

impl AttemptFilter {
    pub(crate) fn new(config: Arc<FilterConfig>) -> Self {
        Self {
            config,
            flow: None,
            request: RequestState::Passing,
            reply: ReplyState::Unseen,
            scratch: Vec::new(),
            out: Vec::new(),
        }
    }

    // --- request ---

    pub(crate) fn request_head(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        let Some(exchange) = table::find(stream.filter_state(table::STATE_KEY)) else {
            return not_ready();
        };
        panics::at_attempt(stream);
        let flow = match self.start(stream, &exchange) {
            Ok(flow) => self.flow.insert(flow),
            Err(reply) => return Step::Reply(reply),
        };
        if flow.needs_body() && ended == Ended::No {
            self.request = RequestState::Collecting;
            return Step::Hold;
        }
        self.prepare(stream, Moment::Head, None)
    }

    fn start(&self, stream: &Stream<'_>, exchange: &Arc<Exchange>) -> Result<Flow, Reply> {
        let backend = match &self.config.role {
            Role::Attempt { backend } => backend.as_deref(),
            Role::Request { .. } => None,
        };
        let named = |of| stream.metadata_text(of, CONFIGURED, BACKEND_KEY);
        let backend = backend
            .or_else(|| named(MetadataOf::Host))
            .or_else(|| named(MetadataOf::Cluster));
        match (&self.config.runtime, backend) {
            (Some(runtime), Some(backend)) => {
                runtime.attempt(exchange, backend, route_policy(stream), stream)
            }
            _ => Err(exchange.answered(Error::NotReady.reply(exchange.client_api()))),
        }
    }

    pub(crate) fn request_body(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        match (&self.request, ended) {
            (RequestState::Passing, _) => Step::Continue,
            (RequestState::Collecting, Ended::Yes) => self.prepare(stream, Moment::Body, None),
            (RequestState::Collecting, Ended::No) | (RequestState::Waiting(_), _) => Step::Hold,
        }
    }

    pub(crate) fn request_trailers(&mut self, stream: &mut Stream<'_>) -> Step {
        match &self.request {
            RequestState::Passing => Step::Continue,
            RequestState::Collecting => self.prepare(stream, Moment::Later, None),
            RequestState::Waiting(_) => Step::Hold,
        }
    }

    /// A wait is over; the request goes on or is answered.
    pub(crate) fn woken(&mut self, stream: &mut Stream<'_>) -> Step {
        match std::mem::replace(&mut self.request, RequestState::Passing) {
            RequestState::Waiting(ticket) => self.prepare(stream, Moment::Later, Some(&ticket)),
            other => {
                self.request = other;
                Step::Hold
            }
        }
    }

    fn prepare(
        &mut self,
        stream: &mut Stream<'_>,
        moment: Moment,
        waited: Option<&Ticket>,
    ) -> Step {
        let Some(flow) = &mut self.flow else {
            return not_ready();
        };
        let body = if flow.needs_body() {
            stream.body(Side::Request, moment, &mut self.scratch)
        } else {
            &[]
        };
        self.request = RequestState::Passing;
        match flow.prepare_with(body, waited, || stream.wake()) {
            Err(reply) => Step::Reply(reply),
            Ok(Prepared::Wait(ticket)) => {
                self.request = RequestState::Waiting(ticket);
                Step::Hold
            }
            Ok(Prepared::Answer(answer)) => {
                stream.set_metadata(&answer.metadata);
                Step::Reply(answer.reply)
            }
            Ok(Prepared::Done(upstream)) => {
                stream.edit(Side::Request, &upstream.edits);
                if let Some(body) = &upstream.body {
                    stream.replace_body(Side::Request, moment, body);
                }
                stream.set_metadata(&upstream.metadata);
                Step::Continue
            }
        }
    }

    // --- reply ---

    pub(crate) fn response_head(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        let Some(flow) = &mut self.flow else {
            return Step::Continue;
        };
        panics::at_response(stream);
        let headers = stream.headers(Side::Response);
        let status = headers
            .get_str(":status")
            .and_then(|text| text.parse().ok());
        let head = flow.response_head(status.unwrap_or(0), &headers, ended);
        stream.edit(Side::Response, &head.edits);
        stream.set_metadata(&flow.take_metadata());
        if let Some(body) = &head.added_body {
            // Envoy sees the body behind a head that ended, and takes the end back.
            stream.replace_body(Side::Response, Moment::Head, body);
        }
        self.reply = match (head.body, ended) {
            (BodyPlan::Skip, _) | (_, Ended::Yes) => ReplyState::Unseen,
            _ if head.hold => ReplyState::Held,
            _ => ReplyState::Open,
        };
        self.reply_step()
    }

    pub(crate) fn response_body(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        if self.reply == ReplyState::Unseen {
            return Step::Continue;
        }
        self.reply_bytes(stream, Moment::Body, ended)
    }

    /// Trailers are the end of the body.
    pub(crate) fn response_trailers(&mut self, stream: &mut Stream<'_>) -> Step {
        if self.reply == ReplyState::Unseen {
            return Step::Continue;
        }
        self.reply_bytes(stream, Moment::Later, Ended::Yes)
    }

    fn reply_bytes(&mut self, stream: &mut Stream<'_>, moment: Moment, ended: Ended) -> Step {
        let Some(flow) = &mut self.flow else {
            return Step::Continue;
        };
        let chunk = match moment {
            Moment::Body => stream.received(Side::Response, &mut self.scratch),
            Moment::Head | Moment::Later => &[],
        };
        self.out.clear();
        let BodyStep { release, body } = flow.response_body(chunk, ended, &mut self.out);
        if body == BodyOut::Replace {
            stream.replace_body(Side::Response, moment, &self.out);
        }
        stream.set_metadata(&flow.take_metadata());
        if let Some(edits) = release {
            stream.edit(Side::Response, &edits);
            self.reply = ReplyState::Open;
        }
        if ended == Ended::Yes {
            self.reply = ReplyState::Unseen;
        }
        self.reply_step()
    }

    fn reply_step(&self) -> Step {
        match self.reply {
            ReplyState::Held => Step::Hold,
            ReplyState::Open | ReplyState::Unseen => Step::Continue,
        }
    }

    pub(crate) fn exchange(&self) -> Option<Arc<Exchange>> {
        self.flow.as_ref().map(|flow| Arc::clone(flow.exchange()))
    }

    /// The stream is over. A reply that did not end by now was cut off by client or provider.
    pub(crate) fn end(&mut self) {
        if let Some(mut flow) = self.flow.take() {
            flow.end();
        }
    }
}

impl Drop for AttemptFilter {
    fn drop(&mut self) {
        self.end();
    }
}
