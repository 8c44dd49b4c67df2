//! Anthropic Messages to AWS Bedrock `Converse` and `ConverseStream`.
//!
//! Rejected (422): roles other than `user`, `assistant` and `system`; images that are not inline
//! PNG, JPEG, GIF or WebP; documents that are not inline or of no Bedrock document type; tool
//! calls and results without an id; a tool choice without its name; schemas and inputs that are
//! not objects.
//!
//! Dropped by contract: `metadata`, `service_tier`, `disable_parallel_tool_use`, the choice
//! `none` when the conversation has used tools, tools that Anthropic runs, a tool's `strict`,
//! blocks of other kinds (search results and what belongs to server tools), a document's
//! `context` and `citations`, beta flags that Bedrock does not know; adaptive thinking,
//! `thinking.display`, `output_config` and beta flags for models other than Claude; cache markers
//! of thinking; empty texts, and thinking with neither text nor signature, for Claude also with an
//! empty signature; of replies: images, documents, citations, cache details, metrics and traces.

use crate::dialect::aws_path::known_as;
use crate::dialect::converse::{self, MessagesReply, Operation};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::{Event, Framing};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Dropped, Outbox, ProviderError, Translate, Upstream};
use crate::wire::anthropic_client::MessagesRequest;

pub(crate) struct Messages {
    operation: Operation,
    model: String,
    /// The name that tells what kind of model it is.
    known_as: String,
    head: Headers,
    reply: MessagesReply,
}

impl Translate for Messages {
    const ENDPOINT: Endpoint = Endpoint::Messages;
    const SCHEMA: ApiSchema = ApiSchema::AWSBedrock;
    const FRAMING: Framing = Framing::EventStream;
    type Request<'a> = MessagesRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            operation: Operation::of(binding.stream),
            model: binding.model.to_owned(),
            known_as: known_as(binding.model, binding.requested_model).to_owned(),
            head: binding.head.clone(),
            reply: MessagesReply::new(binding),
        }
    }

    fn request(&mut self, req: &MessagesRequest<'_>) -> Result<Upstream> {
        let mut dropped = Dropped::default();
        let body = converse::messages_request(req, &self.known_as, &self.head, &mut dropped)?;
        let mut upstream = Upstream::json(self.operation.path(&self.model), &body)?;
        upstream.dropped = dropped;
        Ok(upstream)
    }

    fn response_head(&mut self, headers: &Headers) {
        if let Some(id) = converse::request_id(headers) {
            self.reply.name(id);
        }
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        self.reply.response(body, out)
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.reply.event(event, out)
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.reply.end(out)
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        converse::provider_error(headers, body)
    }
}
