//! OpenAI chat completions to Gemini on Vertex AI.
//!
//! Rejected (422): files without inline data, audio other than WAV and MP3, URLs and `data:`
//! URIs that are none, media without a type; results of tools and system messages that are no
//! text; assistant parts that Gemini has not, redacted thinking among them; tool kinds other than
//! functions and Google's searches; unknown tool choices and efforts; several ways at once to ask
//! for a form of the reply; schemas that models before 2.5 cannot have; numbers beyond 32 bits;
//! signatures that are not base64; tool calls without an id or a function; models with a slash.
//!
//! Dropped by contract: `parallel_tool_calls`, `service_tier`, `user`, `metadata`,
//! `web_search_options`, `verbosity`, `logit_bias`, `modalities`, `audio`, `prediction`, a
//! function's `strict`, tools of the kind `function` without one, cache markers, a message's
//! `name` and `reasoning_content`, refusals, texts of `thinking_blocks`, `thinking.display`,
//! empty texts and image URLs; efforts, media resolutions and details for models before 3; of
//! replies: citations, media, and code that ran.
//!
//! Held back in streams: safety ratings and sources until a choice ends, because libraries cannot
//! add up those of several events; the text of guided replies, which means something as a whole.

use crate::dialect::gemini::{self, ChatReply};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::{Event, Framing};
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::wire::openai::ChatRequest;

pub(crate) struct Chat {
    model: String,
    stream: bool,
    reply: ChatReply,
}

impl Translate for Chat {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = ApiSchema::GCPVertexAI;
    const FRAMING: Framing = Framing::SseOrJson;
    type Request<'a> = ChatRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            model: binding.model.to_owned(),
            stream: binding.stream,
            reply: ChatReply::new(binding),
        }
    }

    fn request(&mut self, req: &ChatRequest<'_>) -> Result<Upstream> {
        self.reply.expect(req);
        let body = gemini::chat_request(req, &self.model)?;
        let method = if self.stream {
            "streamGenerateContent?alt=sse"
        } else {
            "generateContent"
        };
        let path = gemini::path(&self.model, method)?;
        let mut upstream = Upstream::json(path, &body)?;
        gemini::note_dropped(req, &self.model, &mut upstream.dropped);
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

    fn provider_error(&self, _status: u16, _headers: &Headers, body: &[u8]) -> ProviderError {
        gemini::provider_error(body)
    }
}
