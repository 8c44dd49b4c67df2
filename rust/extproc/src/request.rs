//! The request stream: reads the body, puts the exchange into the table.

use std::sync::Arc;

use aigw_core::endpoint::ClientApi;
use aigw_core::error::{Error, Reply};
use aigw_core::session::{Ended, HeadStep, PendingRequest};
use bytes::Bytes;

use crate::messages::{
    Action, Event, HttpHeaders, ProcessingRequest, ProcessingResponse, TrailersReply,
};
use crate::reply::{self, Replies};
use crate::session::{Host, Next};

pub(crate) struct RequestStream {
    host: Arc<Host>,
    gateway: String,
    state: State,
}

enum State {
    Fresh,
    Pending(Box<PendingRequest>),
    /// The exchange of this id is in the table.
    Read(u128),
    Over,
}

impl RequestStream {
    pub(crate) fn new(host: Arc<Host>, gateway: &str) -> Self {
        Self {
            host,
            gateway: gateway.to_owned(),
            state: State::Fresh,
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
        match self
            .host
            .runtime
            .request_head(&self.gateway, headers, ended)
        {
            HeadStep::Reply(answer) => self.answer(answer, out),
            HeadStep::Body(mut pending) => {
                pending.admitted_by(policy);
                self.state = State::Pending(pending);
                out.push(reply::go_on());
                Next::Read
            }
        }
    }

    /// Envoy buffers: this is the whole body, also where trailers follow.
    fn on_body(&mut self, body: Bytes, out: &mut Replies) -> Next {
        let State::Pending(pending) = std::mem::replace(&mut self.state, State::Over) else {
            return go_on(Action::RequestBody(reply::unchanged()), out);
        };
        let api = pending.client_api();
        match self.read(*pending, body, api) {
            Ok(response) => {
                reply::send(&response, out);
                Next::Read
            }
            Err(answer) => self.answer(answer, out),
        }
    }

    fn read(
        &mut self,
        pending: PendingRequest,
        body: Bytes,
        api: ClientApi,
    ) -> Result<ProcessingResponse, Reply> {
        let parts = self.host.runtime.request_body(pending, &body)?;
        let id = parts.exchange.id();
        parts.exchange.keep_body(body);
        if !self.host.table.insert(&parts.exchange) {
            return Err(Error::NotReady.reply(api));
        }
        self.state = State::Read(id);
        let mut common = reply::edited(&parts.edits);
        common.clear_route_cache = true;
        let mut response = reply::response(Action::RequestBody(reply::common(common)));
        response.dynamic_metadata = reply::dynamic_metadata(parts.metadata);
        Ok(response)
    }

    fn answer(&mut self, answer: Reply, out: &mut Replies) -> Next {
        self.state = State::Over;
        reply::send(&reply::immediate(answer), out);
        Next::Close
    }
}

fn go_on(action: Action, out: &mut Replies) -> Next {
    reply::send(&reply::response(action), out);
    Next::Read
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        if let State::Read(id) = self.state {
            self.host.table.remove(id);
        }
    }
}
