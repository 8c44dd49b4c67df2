//! The request filter: reads head and body once, before the route is final, and sees what the
//! client gets.

use std::sync::Arc;

use aigw_core::error::{Error, Reply};
use aigw_core::session::{Ended, HeadStep, PendingRequest};
use aigw_runtime::{Begun, Details, End, Exchange};

use crate::abi::{Moment, Side, Stream};
use crate::config::{FilterConfig, Role};
use crate::filter::{Step, not_ready, route_policy};
use crate::{panics, table};

/// One client request.
pub(crate) struct RequestFilter {
    config: Arc<FilterConfig>,
    exchange: Option<Arc<Exchange>>,
    state: State,
    seen: Seen,
}

enum State {
    /// Nothing came yet, or nothing is to be done any more.
    Idle,
    /// The body is on its way.
    Reading(Box<PendingRequest>),
    /// Read, and in the table.
    Open,
}

/// What passed this filter.
#[derive(Default)]
struct Seen {
    response_bytes: u64,
    /// The reply went to the client as a whole.
    whole: bool,
}

impl RequestFilter {
    pub(crate) fn new(config: Arc<FilterConfig>) -> Self {
        Self {
            config,
            exchange: None,
            state: State::Idle,
            seen: Seen::default(),
        }
    }

    pub(crate) fn exchange(&self) -> Option<Arc<Exchange>> {
        self.exchange.clone()
    }

    // --- request ---

    pub(crate) fn head(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        let (Some(runtime), Role::Request { gateway }) = (&self.config.runtime, &self.config.role)
        else {
            return not_ready();
        };
        let head = stream.headers(Side::Request);
        let Begun { exchange, step } = runtime.begin(gateway, route_policy(stream), head, ended);
        let exchange = self.exchange.insert(exchange);
        panics::at_request(stream);
        match step {
            HeadStep::Reply(reply) => {
                stream.set_metadata(&exchange.id_metadata());
                self.answer(reply)
            }
            HeadStep::Body(pending) => {
                self.state = State::Reading(pending);
                Step::Hold
            }
        }
    }

    pub(crate) fn body(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        let State::Reading(pending) = &self.state else {
            return Step::Continue;
        };
        // A body beyond the limit is the core's to refuse; its end need not be awaited.
        let size = stream.body_size(Side::Request, Moment::Body) as u64;
        if ended == Ended::No && size <= pending.body_limit() {
            return Step::Hold;
        }
        self.read(stream, Moment::Body)
    }

    pub(crate) fn trailers(&mut self, stream: &mut Stream<'_>) -> Step {
        self.read(stream, Moment::Later)
    }

    fn read(&mut self, stream: &mut Stream<'_>, moment: Moment) -> Step {
        let State::Reading(pending) = std::mem::replace(&mut self.state, State::Idle) else {
            return Step::Continue;
        };
        let Some(exchange) = self.exchange.clone() else {
            return not_ready();
        };
        let mut scratch = Vec::new();
        let body = stream.body(Side::Request, moment, &mut scratch);
        let parts = match exchange.read(*pending, body) {
            Ok(parts) => parts,
            Err(reply) => {
                stream.set_metadata(&exchange.id_metadata());
                return self.answer(reply);
            }
        };
        if !table::insert(&exchange) {
            let reply = Error::NotReady.reply(exchange.client_api());
            return self.answer(exchange.answered(reply));
        }
        self.state = State::Open;
        stream.set_filter_state(table::STATE_KEY, &exchange.id().to_ne_bytes());
        stream.edit(Side::Request, &parts.edits);
        stream.set_metadata(&parts.metadata);
        stream.clear_route_cache();
        Step::Continue
    }

    /// Envoy does not show this filter the reply that it makes itself.
    fn answer(&mut self, reply: Reply) -> Step {
        self.seen.response_bytes = reply.body.len() as u64;
        self.reply_head(Ended::Yes);
        Step::Reply(reply)
    }

    // --- reply ---

    pub(crate) fn reply_head(&mut self, ended: Ended) -> Step {
        if let Some(exchange) = &self.exchange {
            exchange.reply_begins();
        }
        self.seen.whole |= ended == Ended::Yes;
        Step::Continue
    }

    pub(crate) fn reply_body(&mut self, stream: &Stream<'_>, ended: Ended) -> Step {
        self.seen.response_bytes += stream.received_size(Side::Response);
        self.seen.whole |= ended == Ended::Yes;
        Step::Continue
    }

    pub(crate) fn reply_trailers(&mut self) -> Step {
        self.seen.whole = true;
        Step::Continue
    }

    /// The stream is over. Attempt filters of a stream that is cut off are told only after the
    /// access log, so what their reply came to is asked for here.
    pub(crate) fn complete(&mut self, stream: &mut Stream<'_>) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        let end = End {
            status: stream.status(),
            details: self.details(stream),
            response_bytes: self.seen.response_bytes,
            ..End::default()
        };
        let metadata = exchange.finish(Some(&end));
        stream.set_metadata(&metadata);
        self.end();
    }

    fn details(&self, stream: &Stream<'_>) -> Details {
        match Details::of(stream.details()) {
            Details::ClientGone if self.seen.whole => Details::Plain,
            details => details,
        }
    }

    fn end(&mut self) {
        if let (State::Open, Some(exchange)) = (&self.state, &self.exchange) {
            table::remove(exchange.id());
        }
        self.state = State::Idle;
    }
}

impl Drop for RequestFilter {
    fn drop(&mut self) {
        self.end();
    }
}
