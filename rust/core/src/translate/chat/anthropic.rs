//! OpenAI chat completions to the Anthropic Messages API.
//!
//! Rejected (422): audio and video parts; files other than PDF and plain text with `file_data`;
//! inline images other than JPEG, PNG, GIF, WebP and PDF; tools that are not functions; unknown
//! tool choices and efforts; tool arguments, parameters and schemas that are not objects; a
//! temperature above 1; tool calls and results without an id.
//!
//! Dropped by contract: `frequency_penalty`, `presence_penalty`, `logit_bias`, `logprobs`,
//! `top_logprobs`, `n`, `seed`, `service_tier`, `metadata`, `modalities`, `audio`,
//! `prediction`, `verbosity`, `web_search_options`, `stream_options` (usage is always sent),
//! `response_format` `text` and `json_object`, a schema's `name`, `description` and `strict`,
//! tool choices by `allowed_tools` or without tools, `thinking.includeThoughts`, an image's
//! `detail`, a message's `name` and its `refusal` and `audio` members, thinking without a
//! signature.
//!
//! Added: `max_tokens` where the client names none (4096 and the thinking budget; a body
//! mutation of the backend can set another), `anthropic-version` where the client sends none.

use crate::dialect::claude::{self, ChatReply, Gate, Target};
use crate::endpoint::{Endpoint, join_path};
use crate::error::Result;
use crate::framing::{Event, Framing};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::openai::ChatRequest;

/// API version that the bodies are written for.
const VERSION: &str = "2023-06-01";

pub(crate) struct Chat {
    path: String,
    model: String,
    stream: bool,
    reply: ChatReply,
}

impl Translate for Chat {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = ApiSchema::Anthropic;
    const FRAMING: Framing = Framing::Sse;
    type Request<'a> = ChatRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        let prefix = match binding.backend.schema.prefix.as_str() {
            "" => "v1",
            prefix => prefix,
        };
        Self {
            path: join_path(&[prefix, "messages"]),
            model: binding.model.to_owned(),
            stream: binding.stream,
            reply: ChatReply::new(binding),
        }
    }

    fn request(&mut self, req: &ChatRequest<'_>) -> Result<Upstream> {
        let target = Target {
            model: Some(&self.model),
            stream: self.stream.then_some(true),
            version: None,
            effective_model: &self.model,
            structured_output: Gate::Open,
            effort: Gate::Open,
        };
        let body = claude::chat_request(req, &target)?;
        let mut upstream = Upstream::json(self.path.clone(), &body)?;
        claude::note_dropped(req, &target, &mut upstream.dropped);
        upstream
            .default_headers
            .push(("anthropic-version", VERSION.to_owned()));
        Ok(upstream)
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
        claude::provider_error(headers, body, "AnthropicBackendError")
    }
}
