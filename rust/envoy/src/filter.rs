//! What both filters have in common: events in, steps out.

use std::sync::Arc;

use aigw_core::endpoint::ClientApi;
use aigw_core::error::{Error, Reply};
use aigw_core::metadata::{CONFIGURED, SECURITY_POLICY};
use aigw_core::session::Ended;
use aigw_runtime::{Details, End, Exchange};

use crate::abi::{MetadataOf, Stream};
use crate::attempt::AttemptFilter;
use crate::config::{FilterConfig, Role};
use crate::request::RequestFilter;

/// What becomes of a stream after an event.
#[derive(Debug)]
pub(crate) enum Step {
    /// Go on with all that is at hand.
    Continue,
    /// Keep all that is at hand and wait for the next event.
    Hold,
    /// Answer the client.
    Reply(Reply),
    /// Reset the stream; the text goes to the access log.
    Reset(&'static str),
}

/// One filter of one stream.
pub(crate) enum Filter {
    /// Reads the request, once.
    Request(RequestFilter),
    /// One attempt at one backend.
    Attempt(AttemptFilter),
    /// Out of service: answers requests with an error. What is left is the request that it had.
    Broken(Option<Arc<Exchange>>),
}

impl Filter {
    pub(crate) fn new(config: &Arc<FilterConfig>) -> Self {
        match config.role {
            Role::Request { .. } => Self::Request(RequestFilter::new(Arc::clone(config))),
            Role::Attempt { .. } => Self::Attempt(AttemptFilter::new(Arc::clone(config))),
        }
    }

    pub(crate) fn request_head(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        match self {
            Self::Request(filter) => filter.head(stream, ended),
            Self::Attempt(filter) => filter.request_head(stream, ended),
            Self::Broken(_) => not_ready(),
        }
    }

    pub(crate) fn request_body(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        match self {
            Self::Request(filter) => filter.body(stream, ended),
            Self::Attempt(filter) => filter.request_body(stream, ended),
            Self::Broken(_) => not_ready(),
        }
    }

    pub(crate) fn request_trailers(&mut self, stream: &mut Stream<'_>) -> Step {
        match self {
            Self::Request(filter) => filter.trailers(stream),
            Self::Attempt(filter) => filter.request_trailers(stream),
            Self::Broken(_) => not_ready(),
        }
    }

    pub(crate) fn response_head(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        match self {
            Self::Attempt(filter) => filter.response_head(stream, ended),
            Self::Request(filter) => filter.reply_head(ended),
            Self::Broken(_) => Step::Continue,
        }
    }

    pub(crate) fn response_body(&mut self, stream: &mut Stream<'_>, ended: Ended) -> Step {
        match self {
            Self::Attempt(filter) => filter.response_body(stream, ended),
            Self::Request(filter) => filter.reply_body(stream, ended),
            Self::Broken(_) => Step::Continue,
        }
    }

    pub(crate) fn response_trailers(&mut self, stream: &mut Stream<'_>) -> Step {
        match self {
            Self::Attempt(filter) => filter.response_trailers(stream),
            Self::Request(filter) => filter.reply_trailers(),
            Self::Broken(_) => Step::Continue,
        }
    }

    /// A wait is over. [`Step::Continue`] resumes the request.
    pub(crate) fn woken(&mut self, stream: &mut Stream<'_>) -> Step {
        match self {
            Self::Attempt(filter) => filter.woken(stream),
            Self::Request(_) | Self::Broken(_) => Step::Hold,
        }
    }

    /// The stream is over; its access log is not written yet.
    pub(crate) fn end(&mut self, stream: &mut Stream<'_>) {
        match self {
            Self::Request(filter) => filter.complete(stream),
            Self::Attempt(filter) => filter.end(),
            Self::Broken(exchange) => {
                if let Some(exchange) = exchange.take() {
                    let end = End {
                        status: stream.status(),
                        details: Details::of(stream.details()),
                        ..End::default()
                    };
                    exchange.finish(Some(&end));
                }
            }
        }
    }

    /// Takes the filter out of service after a panic.
    pub(crate) fn break_down(&mut self) {
        let note = |exchange: Arc<Exchange>| {
            let reply = Error::Internal("panic".into()).reply(ClientApi::OpenAI);
            exchange.note_reply(reply.status, reply.kind);
            exchange
        };
        let exchange = match self {
            Self::Request(filter) => filter.exchange().map(note),
            // The end of its request comes from the other filter.
            Self::Attempt(filter) => filter.exchange().map(note).and(None),
            Self::Broken(exchange) => exchange.take(),
        };
        *self = Self::Broken(exchange);
    }
}

/// Security policy of the route that the request has so far, empty without one.
pub(crate) fn route_policy<'s>(stream: &'s Stream<'_>) -> &'s str {
    let found = stream.metadata_text(MetadataOf::Route, CONFIGURED, SECURITY_POLICY);
    found.unwrap_or_default()
}

/// The reply of a gateway that cannot serve the request (yet).
pub(crate) fn not_ready() -> Step {
    Step::Reply(Error::NotReady.reply(ClientApi::OpenAI))
}
