//! The request filter: reads head and body once, before the route is final.

use std::sync::Arc;

use aigw_core::error::Error;
use aigw_core::record::Outcome;
use aigw_core::session::{Ended, HeadStep, PendingRequest};

use crate::abi::{Moment, Side, Stream};
use crate::config::{FilterConfig, Role};
use crate::filter::{Step, not_ready, route_policy};
use crate::{panics, table};

/// One client request.
pub(crate) struct RequestFilter {
    config: Arc<FilterConfig>,
    state: State,
}

enum State {
    /// Nothing came yet, or nothing is to be done any more.
    Idle,
    /// The body is on its way.
    Reading(Box<PendingRequest>),
    /// Read, and in the table under this id.
    Open(u128),
}

impl RequestFilter {
    pub(crate) fn new(config: Arc<FilterConfig>) -> Self {
        Self {
            config,
            state: State::Idle,
        }
    }

    pub(crate) fn head(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        let (Some(runtime), Role::Request { gateway }) = (&self.config.runtime, &self.config.role)
        else {
            return not_ready();
        };
        let head = stream.headers(Side::Request);
        panics::at_request(stream, &head);
        match runtime.request_head(gateway, head, ended) {
            HeadStep::Reply(reply) => Step::Reply(reply),
            HeadStep::Body(mut pending) => {
                pending.admitted_by(route_policy(stream));
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
        let Some(runtime) = &self.config.runtime else {
            return not_ready();
        };
        let api = pending.client_api();
        let mut scratch = Vec::new();
        let body = stream.body(Side::Request, moment, &mut scratch);
        let parts = match runtime.request_body(*pending, body) {
            Ok(parts) => parts,
            Err(reply) => return Step::Reply(reply),
        };
        if !table::insert(&parts.exchange) {
            return Step::Reply(Error::NotReady.reply(api));
        }
        let id = parts.exchange.id();
        self.state = State::Open(id);
        stream.set_filter_state(table::STATE_KEY, &id.to_ne_bytes());
        stream.edit(Side::Request, &parts.edits);
        stream.set_metadata(&parts.metadata);
        stream.clear_route_cache();
        Step::Continue
    }

    /// The stream is over. Attempt filters of a stream that is cut off are told only after the
    /// access log, so what their reply came to is asked for here.
    pub(crate) fn complete(&mut self, stream: &mut Stream<'_>) {
        if let State::Open(id) = self.state
            && let Some(exchange) = table::find(Some(&id.to_ne_bytes()))
        {
            stream.set_metadata(&exchange.end_attempt(Outcome::Aborted));
        }
        self.end();
    }

    fn end(&mut self) {
        if let State::Open(id) = std::mem::replace(&mut self.state, State::Idle) {
            table::remove(id);
        }
    }
}

impl Drop for RequestFilter {
    fn drop(&mut self) {
        self.end();
    }
}
