//! Anthropic clients by way of chat: a [`Frontend`](crate::translate::Frontend) for every
//! backend that speaks chat.
//!
//! Rejected (422): documents by URL, images and documents of other sources, tool calls and
//! results without an id, roles other than `user`, `assistant` and `system`. Malformed (400):
//! images and documents without a source, tool inputs that are not objects.
//!
//! Dropped by contract: cache markers (chat backends cache on their own), blocks and tools of
//! kinds that only Anthropic runs, search results, `is_error` of tool results, citations, titles
//! of text documents, tool choices without tools or of unknown type, formats other than
//! `json_schema`, `container`, `context_management`, `mcp_servers`, `thinking.display`,
//! `service_tier`.
//!
//! Mapped with a loss: images in tool results go into the user message behind the results.

mod events;
mod reply;
mod request;

pub(crate) use events::{Events, tool_input};

use reply::Reply;

use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Result};
use crate::translate::{Binding, ChatSink, Dropped, Frontend, Outbox, error_event};
use crate::wire::anthropic_client::MessagesRequest;
use crate::wire::openai::{ChatChunk, ChatRequest, ChatResponse};

/// `POST /v1/messages` in chat's words.
pub(crate) struct Messages {
    reply: Reply,
}

impl Frontend for Messages {
    const ENDPOINT: Endpoint = Endpoint::Messages;
    type Request<'a> = MessagesRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            reply: Reply::new(binding),
        }
    }

    fn chat<'a>(
        &mut self,
        req: &'a MessagesRequest<'_>,
        dropped: &mut Dropped,
    ) -> Result<ChatRequest<'a>> {
        request::chat(req, dropped)
    }

    /// A message that has its end is whole, whatever the provider says behind it.
    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        if !self.reply.is_closed() {
            error_event(error, api, out);
        }
    }
}

impl ChatSink for Messages {
    fn completion(&mut self, reply: &ChatResponse<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.reply.completion(reply, out)
    }

    fn chunk(&mut self, chunk: &ChatChunk<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.reply.chunk(chunk, out)
    }

    fn done(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.reply.done(out)
    }
}
