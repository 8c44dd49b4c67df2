//! OpenAI chat completions to Claude on AWS Bedrock: `InvokeModel` with a Messages body.
//!
//! Rejected and dropped as for [Anthropic](super::anthropic); besides, `reasoning_effort` and
//! JSON schemas are dropped for models without them.
//!
//! Added: `anthropic_version`, of the backend's schema or `bedrock-2023-05-31`.

use crate::dialect::aws_path::known_as;
use crate::dialect::claude::{self, AWS, ChatReply, Target, inner_event};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::{Event, EventKind, Framing};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::openai::ChatRequest;

pub(crate) struct Chat {
    model: String,
    /// The name that tells what the model can.
    known_as: String,
    version: String,
    stream: bool,
    reply: ChatReply,
}

impl Translate for Chat {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = ApiSchema::AWSAnthropic;
    const FRAMING: Framing = Framing::EventStream;
    type Request<'a> = ChatRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: binding.model.to_owned(),
            known_as: known_as(binding.model, binding.requested_model).to_owned(),
            version: AWS.version(&binding.backend.schema.version).to_owned(),
            stream: binding.stream,
            reply: ChatReply::new(binding),
        }
    }

    fn request(&mut self, req: &ChatRequest<'_>) -> Result<Upstream> {
        let target = Target {
            model: None,
            stream: None,
            version: Some(&self.version),
            effective_model: &self.known_as,
            structured_output: AWS.structured_output,
            effort: AWS.effort,
        };
        let body = claude::chat_request(req, &target)?;
        let mut upstream = Upstream::json(AWS.path(&self.model, self.stream), &body)?;
        claude::note_dropped(req, &target, &mut upstream.dropped);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        self.reply.response(body, out)
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let Some(data) = inner_event(event)? else {
            return Ok(());
        };
        let inner = Event {
            name: "",
            data: &data,
            kind: EventKind::Data,
        };
        self.reply.event(inner, out)
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.reply.end(out)
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        claude::aws_error(headers, body)
    }
}
