//! Clients of OpenAI Responses by way of chat: a [`Frontend`](crate::translate::Frontend) for
//! every backend that speaks chat.
//!
//! Rejected (422): what needs a memory (`previous_response_id`, `conversation`, `prompt`,
//! `store` and `background` set to true, references to items), files by URL or id, content parts
//! of unknown type, calls and outputs without an id.
//!
//! Dropped by contract: tools that OpenAI runs and tool choices among them, items of their calls,
//! reasoning that is not of this gateway, `truncation` `auto`, `max_tool_calls`, `include` other
//! than `reasoning.encrypted_content`, prompt-cache and safety keys.
//!
//! A stream is remembered until its end, because its last event repeats everything.

mod events;
mod items;
mod reply;
mod request;

use items::Thought;
use reply::Reply;
use request::Echo;

use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Result};
use crate::translate::{Binding, ChatSink, Dropped, Frontend, Outbox};
use crate::wire::openai::{ChatChunk, ChatRequest, ChatResponse};
use crate::wire::responses::ResponsesRequest;

/// `POST /v1/responses` in chat's words.
pub(crate) struct Responses {
    reply: Reply,
}

impl Frontend for Responses {
    const ENDPOINT: Endpoint = Endpoint::Responses;
    type Request<'a> = ResponsesRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            reply: Reply::new(binding),
        }
    }

    fn chat<'a>(
        &mut self,
        req: &'a ResponsesRequest<'_>,
        dropped: &mut Dropped,
    ) -> Result<ChatRequest<'a>> {
        self.reply.echo = Echo::of(req);
        request::chat(req, dropped)
    }

    fn error_event(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        self.reply.error(error, api, out);
    }
}

impl ChatSink for Responses {
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
