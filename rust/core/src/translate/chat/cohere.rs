//! OpenAI chat completions to Cohere's v2 chat.
//!
//! Rejected (422): audio, video, files and redacted thinking; tools that are not functions, a
//! tool choice of a name that no tool has; parameters and schemas that are not objects;
//! arguments that are not JSON; tool calls and results without an id.
//!
//! Dropped by contract: `n`, `logprobs`, `top_logprobs`, `logit_bias`, `reasoning_effort`,
//! `parallel_tool_calls`, `service_tier`, `user`, `metadata`, `web_search_options`, `verbosity`,
//! `thinking_blocks`, signatures of thinking, `thinking.display`, cache markers, a message's
//! `name` and `reasoning_content`; of replies: citations and log probabilities.
//!
//! Mapped with a loss: a choice of one tool leaves out the others and requires a call; a tool
//! plan becomes reasoning.

use crate::dialect::cohere::{self, ChatReply};
use crate::endpoint::{Endpoint, join_path};
use crate::error::Result;
use crate::framing::{Event, Framing};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::openai::ChatRequest;

pub(crate) struct Chat {
    path: String,
    model: String,
    stream: bool,
    reply: ChatReply,
}

impl Translate for Chat {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = ApiSchema::Cohere;
    const FRAMING: Framing = Framing::Sse;
    type Request<'a> = ChatRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        let (prefix, version) = cohere::base(&binding.backend.schema);
        Self {
            path: join_path(&[prefix, version, "chat"]),
            model: binding.model.to_owned(),
            stream: binding.stream,
            reply: ChatReply::new(binding),
        }
    }

    fn request(&mut self, req: &ChatRequest<'_>) -> Result<Upstream> {
        let body = cohere::chat_request(req, &self.model, self.stream)?;
        let mut upstream = Upstream::json(self.path.clone(), &body)?;
        cohere::note_dropped(req, &mut upstream.dropped);
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

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        cohere::provider_error(status, headers, body)
    }
}
