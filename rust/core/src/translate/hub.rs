//! Chat completions as the common form: an endpoint that has its own words is served by every
//! backend that speaks chat, without a second serialization.
//!
//! A [`Frontend`] turns the client's request into a [`ChatRequest`] and takes the reply as
//! typed [`ChatResponse`] or [`ChatChunk`]s; a chat translator of a backend does the rest.
//! [`Via`] joins the two into one pair.

use serde::Deserialize;

use super::{Binding, Dropped, Outbox, ProviderError, Translate, Upstream, error_event};
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Result};
use crate::framing::{Event, Framing};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::wire::openai::{ChatChunk, ChatRequest, ChatResponse};

/// Takes the reply of a chat backend in place of an OpenAI client.
pub(crate) trait ChatSink: Send {
    /// The whole unary reply.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`](crate::error::Error::UpstreamProtocol) when the client's API
    /// cannot say it.
    fn completion(&mut self, reply: &ChatResponse<'_>, out: &mut Outbox<'_>) -> Result<()>;

    /// One chunk of a stream; usage may come in a chunk without choices.
    ///
    /// # Errors
    /// As [`Self::completion`].
    fn chunk(&mut self, chunk: &ChatChunk<'_>, out: &mut Outbox<'_>) -> Result<()>;

    /// The good end of a stream, where an OpenAI client gets `[DONE]`.
    ///
    /// # Errors
    /// As [`Self::completion`].
    fn done(&mut self, out: &mut Outbox<'_>) -> Result<()>;
}

/// The client's side of a pair that a chat backend serves.
pub(crate) trait Frontend: ChatSink + Sized + 'static {
    /// Client side of the pair.
    const ENDPOINT: Endpoint;
    /// The client's request.
    type Request<'a>: Deserialize<'a>;

    /// Starts an attempt.
    fn bind(binding: &Binding<'_>) -> Self;

    /// The request in chat's words; what these cannot say is noted or refused.
    ///
    /// # Errors
    /// [`Error::Untranslatable`](crate::error::Error::Untranslatable) with the field.
    fn chat<'a>(
        &mut self,
        req: &'a Self::Request<'_>,
        dropped: &mut Dropped,
    ) -> Result<ChatRequest<'a>>;

    /// An error that ends a stream whose head is out.
    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        error_event(error, api, out);
    }
}

/// `F`'s endpoint served by the chat translator `B`.
pub(crate) struct Via<F, B> {
    frontend: F,
    backend: B,
}

impl<F, B> Translate for Via<F, B>
where
    F: Frontend,
    B: for<'a> Translate<Request<'a> = ChatRequest<'a>>,
{
    const ENDPOINT: Endpoint = F::ENDPOINT;
    const SCHEMA: ApiSchema = B::SCHEMA;
    const FRAMING: Framing = B::FRAMING;
    type Request<'a> = F::Request<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            frontend: F::bind(binding),
            backend: B::bind(binding),
        }
    }

    fn request(&mut self, req: &Self::Request<'_>) -> Result<Upstream> {
        let mut dropped = Dropped::default();
        let chat = self.frontend.chat(req, &mut dropped)?;
        let mut upstream = self.backend.request(&chat)?;
        upstream.dropped.merge(dropped);
        Ok(upstream)
    }

    fn response_head(&mut self, headers: &Headers) {
        self.backend.response_head(headers);
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        self.backend
            .response(body, &mut out.with_sink(&mut self.frontend))
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.backend
            .event(event, &mut out.with_sink(&mut self.frontend))
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.backend.end(&mut out.with_sink(&mut self.frontend))
    }

    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        self.frontend.error_event(error, api, out);
    }

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        self.backend.provider_error(status, headers, body)
    }
}
