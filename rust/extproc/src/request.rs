//! The request stream: reads the body, puts the exchange into the table.

use std::sync::Arc;

use aigw_core::error::{Error, Reply};
use aigw_core::session::{Ended, HeadStep, PendingRequest};
use aigw_runtime::{Begun, Exchange};
use bytes::Bytes;

use crate::messages::{
    Action, Event, HttpHeaders, ProcessingRequest, ProcessingResponse, TrailersReply,
};
use crate::reply::{self, Replies};
use crate::session::{Host, Next};

pub(crate) struct RequestStream {
    host: Arc<Host>,
    gateway: String,
    exchange: Option<Arc<Exchange>>,
    state: State,
}

enum State {
    /// Nothing came yet, or nothing is to be done any more.
    Idle,
    Pending(Box<PendingRequest>),
}

impl RequestStream {
    pub(crate) fn new(host: Arc<Host>, gateway: &str) -> Self {
        Self {
            host,
            gateway: gateway.to_owned(),
            exchange: None,
            state: State::Idle,
        }
    }

    pub(crate) fn on_message(&mut self, message: ProcessingRequest, out: &mut Replies) -> Next {
        match message.event {
            Some(Event::RequestHeaders(head)) => {
                let policy = reply::route_policy(message.attributes.get(reply::ATTRIBUTES));
                self.on_head(&head, policy, out)
            }
            Some(Event::RequestBody(body)) => self.on_body(body.body, out),
            Some(Event::RequestTrailers(_)) => {
                let action = Action::RequestTrailers(TrailersReply {});
                go_on(action, out)
            }
            Some(Event::ResponseHeaders(_)) => {
                go_on(Action::ResponseHeaders(reply::unchanged()), out)
            }
            Some(Event::ResponseBody(_)) => go_on(Action::ResponseBody(reply::unchanged()), out),
            Some(Event::ResponseTrailers(_)) => {
                go_on(Action::ResponseTrailers(TrailersReply {}), out)
            }
            None => Next::Read,
        }
    }

    fn on_head(&mut self, head: &HttpHeaders, policy: &str, out: &mut Replies) -> Next {
        let headers = reply::headers(head.headers.as_ref());
        let ended = Ended::from(head.end_of_stream);
        let runtime = &self.host.runtime;
        let Begun { exchange, step } = runtime.begin(&self.gateway, policy, headers, ended);
        let exchange = self.exchange.insert(exchange);
        if !self.host.table.insert(exchange) {
            let reply = Error::NotReady.reply(exchange.client_api());
            let reply = exchange.answered(reply);
            return self.answer(reply, out);
        }
        match step {
            HeadStep::Reply(answer) => self.answer(answer, out),
            HeadStep::Body(pending) => {
                self.state = State::Pending(pending);
                let mut response = reply::response(Action::RequestHeaders(reply::unchanged()));
                // Whatever becomes of the request now, its access-log entry has the id.
                response.dynamic_metadata = reply::dynamic_metadata(exchange.id_metadata());
                reply::send(&response, out);
                Next::Read
            }
        }
    }

    /// Envoy buffers: this is the whole body, also where trailers follow.
    fn on_body(&mut self, body: Bytes, out: &mut Replies) -> Next {
        let state = std::mem::replace(&mut self.state, State::Idle);
        let (State::Pending(pending), Some(exchange)) = (state, self.exchange.clone()) else {
            return go_on(Action::RequestBody(reply::unchanged()), out);
        };
        match read(&exchange, *pending, body) {
            Ok(response) => {
                reply::send(&response, out);
                Next::Read
            }
            Err(answer) => self.answer(answer, out),
        }
    }

    fn answer(&mut self, answer: Reply, out: &mut Replies) -> Next {
        self.state = State::Idle;
        let mut response = reply::immediate(answer);
        if let Some(exchange) = &self.exchange {
            exchange.reply_begins();
            response.dynamic_metadata = reply::dynamic_metadata(exchange.id_metadata());
        }
        reply::send(&response, out);
        Next::Close
    }
}

fn read(
    exchange: &Exchange,
    pending: PendingRequest,
    body: Bytes,
) -> Result<ProcessingResponse, Reply> {
    let parts = exchange.read(pending, &body)?;
    exchange.keep_body(body);
    let mut common = reply::edited(&parts.edits);
    common.clear_route_cache = true;
    let mut response = reply::response(Action::RequestBody(reply::common(common)));
    response.dynamic_metadata = reply::dynamic_metadata(parts.metadata);
    Ok(response)
}

fn go_on(action: Action, out: &mut Replies) -> Next {
    reply::send(&reply::response(action), out);
    Next::Read
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.host.over(&exchange);
        }
    }
}
