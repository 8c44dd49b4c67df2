//! Chat backends that speak OpenAI, with replies read and rebuilt: the base of the pairs that
//! serve another endpoint by way of chat. Chat itself passes such replies through.
//!
//! Dropped by contract: `top_k`, which OpenAI does not know.

use std::borrow::Cow;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::framing::{Event, Framing};
use crate::headers::Headers;
use crate::scan::place;
use crate::schema::ApiSchema;
use crate::translate::{
    Binding, Outbox, Passthrough, ProviderError, Translate, Upstream, is_fault, openai_error,
    openai_usage, stream_error,
};
use crate::usage::Usage;
use crate::wire::Text;
use crate::wire::openai::{
    ChatChunk, ChatRequest, ChatResponse, ChatUsage, Choice, ChunkChoice, CompletionDetails, Delta,
    PromptDetails, Raw, ReplyFunction, ReplyMessage, ReplyThinkingBlock, ReplyToolCall,
};
use crate::wire::openai_reply::{Message, Reasoning, Reply, ThinkingBlock, ToolCall};

/// The chat pair whose path and schema are used, with its replies read.
pub(crate) struct Decoded<P> {
    path: String,
    model: String,
    stream: bool,
    own_id: String,
    calls: Calls,
    /// Unix seconds.
    created: u64,
    /// The provider said how the message ended, or that the stream did.
    finished: bool,
    pair: PhantomData<P>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(flatten)]
    chat: &'a ChatRequest<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<P: Passthrough> Translate for Decoded<P> {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = P::SCHEMA;
    const FRAMING: Framing = Framing::Sse;
    type Request<'a> = ChatRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            path: P::path(binding),
            model: binding.model.to_owned(),
            stream: binding.stream,
            own_id: format!("chatcmpl-{:032x}", binding.request_id),
            calls: Calls::new(binding.request_id),
            created: binding.now,
            finished: false,
            pair: PhantomData,
        }
    }

    fn request(&mut self, req: &ChatRequest<'_>) -> Result<Upstream> {
        let mut upstream = Upstream::json(
            self.path.clone(),
            &Body {
                model: &self.model,
                chat: req,
                stream: self.stream.then_some(true),
                stream_options: self.stream.then_some(StreamOptions {
                    include_usage: true,
                }),
            },
        )?;
        upstream.dropped.note("top_k", req.top_k.is_some());
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: Reply<'_> = serde_json::from_slice(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the completion cannot be read: {}", place(&error)))
        })?;
        if let Some(error) = reply.error.filter(|raw| is_fault(raw)) {
            return Err(stream_error(error.get().as_bytes()));
        }
        let usage = report(&reply, out);
        let choices = reply.choices.as_deref().unwrap_or_default();
        let said: Vec<Said<'_>> = choices
            .iter()
            .map(|choice| Said::of(choice.message.as_ref(), |call| self.calls.begin(call)))
            .collect();
        let calls = &self.calls;
        let choices = choices.iter().zip(&said).map(|(choice, said)| Choice {
            index: choice.index.unwrap_or(0),
            message: said.message(calls),
            logprobs: None,
            finish_reason: finish_reason(choice.finish_reason.as_deref()),
        });
        out.completion(&ChatResponse {
            id: given(reply.id.as_ref()).unwrap_or(&self.own_id),
            object: "chat.completion",
            created: reply.created.0.unwrap_or(self.created),
            model: given(reply.model.as_ref()).unwrap_or(&self.model),
            service_tier: given(reply.service_tier.as_ref()),
            choices: choices.collect(),
            usage,
        })
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        if event.data == b"[DONE]" {
            self.finished = true;
            return Ok(());
        }
        // One event that cannot be read says nothing; a stream that lost its end is found out.
        let reply = serde_json::from_slice::<Reply<'_>>(event.data);
        let error = reply.as_ref().ok().and_then(|reply| reply.error);
        if let Some(error) = error.filter(|raw| is_fault(raw)) {
            return Err(stream_error(error.get().as_bytes()));
        }
        if event.name == "error" {
            return Err(stream_error(event.data));
        }
        let Ok(reply) = reply else { return Ok(()) };
        let usage = report(&reply, out);
        let choices = reply.choices.as_deref().unwrap_or_default();
        let said: Vec<Said<'_>> = choices
            .iter()
            .map(|choice| Said::of(choice.delta.as_ref(), |call| self.calls.place(call)))
            .collect();
        let calls = &self.calls;
        let choices = choices.iter().zip(&said).map(|(choice, said)| ChunkChoice {
            index: choice.index.unwrap_or(0),
            delta: said.delta(calls),
            logprobs: None,
            finish_reason: given(choice.finish_reason.as_ref())
                .map(|reason| finish_reason(Some(reason))),
        });
        let choices: Vec<_> = choices.collect();
        self.finished |= choices.iter().any(|choice| choice.finish_reason.is_some());
        out.chunk(&ChatChunk {
            id: given(reply.id.as_ref()).unwrap_or(&self.own_id),
            object: "chat.completion.chunk",
            created: reply.created.0.unwrap_or(self.created),
            model: given(reply.model.as_ref()).unwrap_or(&self.model),
            service_tier: given(reply.service_tier.as_ref()),
            choices,
            usage,
        })
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        if !self.finished {
            return Err(Error::UpstreamProtocol(
                "the stream ended before the message did".into(),
            ));
        }
        out.done()
    }

    fn provider_error(&self, status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        openai_error(P::SCHEMA, status, headers, body)
    }
}

fn given<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(AsRef::as_ref)
        .filter(|text: &&str| !text.is_empty())
}

/// OpenAI's own words, and what servers call a failure; others end a message well,
/// `function_call` too: such calls are not read.
fn finish_reason(reason: Option<&str>) -> &'static str {
    match reason {
        Some("length") => "length",
        Some("tool_calls") => "tool_calls",
        Some("content_filter") => "content_filter",
        Some("error") => "error",
        _ => "stop",
    }
}

fn report(reply: &Reply<'_>, out: &mut Outbox<'_>) -> Option<ChatUsage> {
    if let Some(model) = given(reply.model.as_ref()) {
        out.response_model(model);
    }
    let raw = reply.usage.filter(|raw| raw.get() != "null")?;
    let usage = openai_usage(raw.get().as_bytes());
    out.usage(&usage);
    Some(client_usage(&usage))
}

fn client_usage(usage: &Usage) -> ChatUsage {
    let (input, output) = (
        usage.input_tokens.unwrap_or(0),
        usage.output_tokens.unwrap_or(0),
    );
    let cached = usage.cached_input_tokens;
    let created = usage.cache_creation_input_tokens;
    ChatUsage {
        prompt_tokens: input,
        completion_tokens: output,
        total_tokens: usage.total_tokens.unwrap_or(input.saturating_add(output)),
        completion_tokens_details: usage.reasoning_tokens.map(|reasoning| CompletionDetails {
            reasoning_tokens: Some(reasoning),
        }),
        prompt_tokens_details: (cached.is_some() || created.is_some()).then_some(PromptDetails {
            cached_tokens: cached,
            cache_creation_input_tokens: created,
        }),
    }
}

/// What one choice says, its reasoning read.
struct Said<'a> {
    message: Option<&'a Message<'a>>,
    reasoning: Thought<'a>,
    /// Where its calls of tools belong.
    places: Vec<Place>,
}

/// Calls of tools so far, under indexes of our own.
struct Calls {
    request_id: u128,
    known: Vec<Known>,
}

struct Known {
    /// The provider's index.
    index: Option<u32>,
    id: String,
    /// The provider gave no id.
    made: bool,
}

#[derive(Clone, Copy)]
enum Place {
    New(usize),
    More(usize),
}

impl Calls {
    fn new(request_id: u128) -> Self {
        Self {
            request_id,
            known: Vec::new(),
        }
    }

    /// The call that this is a piece of. Some servers leave out indexes or ids, or give calls
    /// beside each other one index.
    fn place(&mut self, call: &ToolCall<'_>) -> Place {
        let id = given(call.id.as_ref());
        let function = call.function.as_ref();
        let name = function.and_then(|function| given(function.name.as_ref()));
        let begins = name.is_some() && id.is_none() && call.index.is_none();
        let same = |known: &Known| {
            (call.index.is_none() || known.index == call.index)
                && id.is_none_or(|id| known.made || known.id == id)
        };
        match self.known.iter().rposition(same) {
            Some(at) if !begins => Place::More(at),
            _ => self.begin(call),
        }
    }

    fn begin(&mut self, call: &ToolCall<'_>) -> Place {
        let at = self.known.len();
        let id = given(call.id.as_ref());
        self.known.push(Known {
            index: call.index,
            id: match id {
                Some(id) => id.to_owned(),
                None => format!("call_{:032x}_{at}", self.request_id),
            },
            made: id.is_none(),
        });
        Place::New(at)
    }

    fn call<'a>(&'a self, place: Place, call: &'a ToolCall<'_>) -> ReplyToolCall<'a> {
        let (at, id) = match place {
            Place::New(at) => (at, self.known.get(at).map(|known| known.id.as_str())),
            Place::More(at) => (at, None),
        };
        let function = call.function.as_ref();
        ReplyToolCall {
            index: u32::try_from(at).ok(),
            id,
            function: ReplyFunction {
                arguments: function
                    .and_then(|function| function.arguments.as_deref())
                    .unwrap_or_default(),
                name: function.and_then(|function| function.name.as_deref()),
            },
            r#type: Some("function"),
        }
    }
}

#[derive(Default)]
struct Thought<'a> {
    text: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    redacted: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    fn of(message: Option<&'a Message<'a>>, place: impl FnMut(&ToolCall<'_>) -> Place) -> Self {
        let raw = message.and_then(|message| message.reasoning_content.or(message.reasoning));
        let calls = message.and_then(|message| message.tool_calls.as_deref());
        Self {
            message,
            reasoning: raw.map(thought).unwrap_or_default(),
            places: calls.unwrap_or_default().iter().map(place).collect(),
        }
    }

    fn message<'s>(&'s self, calls: &'s Calls) -> ReplyMessage<'s> {
        let delta = self.delta(calls);
        ReplyMessage {
            role: "assistant",
            content: delta.content.map(Cow::Borrowed),
            tool_calls: delta.tool_calls,
            reasoning_content: delta.reasoning_content.map(Cow::Borrowed),
            thinking_blocks: delta.thinking_blocks,
            ..ReplyMessage::default()
        }
    }

    fn delta<'s>(&'s self, calls: &'s Calls) -> Delta<'s> {
        let Some(message) = self.message else {
            return Delta::default();
        };
        let pieces = message.tool_calls.iter().flatten().zip(&self.places);
        Delta {
            role: message.role.is_some().then_some("assistant"),
            // A refusal is the text of such a message.
            content: given(message.content.as_ref()).or(given(message.refusal.as_ref())),
            tool_calls: pieces
                .map(|(call, place)| calls.call(*place, call))
                .collect(),
            reasoning_content: self.reasoning.text.as_deref(),
            thinking_blocks: self.thinking_blocks(message),
            ..Delta::default()
        }
    }

    fn thinking_blocks<'s>(&'s self, message: &'s Message<'s>) -> Vec<ReplyThinkingBlock<'s>> {
        let own = message.thinking_blocks.as_deref().unwrap_or_default();
        if !own.is_empty() {
            return own.iter().filter_map(thinking_block).collect();
        }
        let thought = &self.reasoning;
        let signed = thought
            .signature
            .as_deref()
            .map(|signature| ReplyThinkingBlock {
                r#type: "thinking",
                thinking: thought.text.as_deref().map(Cow::Borrowed),
                signature: Some(Cow::Borrowed(signature)),
                ..ReplyThinkingBlock::default()
            });
        let redacted = thought.redacted.as_deref().map(|data| ReplyThinkingBlock {
            r#type: "redacted_thinking",
            data: Some(Cow::Borrowed(data)),
            ..ReplyThinkingBlock::default()
        });
        signed.into_iter().chain(redacted).collect()
    }
}

fn thought(raw: Raw<'_>) -> Thought<'_> {
    if let Ok(text) = serde_json::from_str::<Text<'_>>(raw.get()) {
        return Thought {
            text: Some(text.into_cow()).filter(|text| !text.is_empty()),
            ..Thought::default()
        };
    }
    let reasoning = serde_json::from_str::<Reasoning<'_>>(raw.get()).unwrap_or_default();
    let inner = match reasoning.reasoning_content {
        Some(inner) => *inner,
        None => reasoning,
    };
    let (text, signature) = match inner.reasoning_text {
        Some(signed) => (signed.text, signed.signature),
        None => (inner.text, inner.signature),
    };
    Thought {
        text: taken(text),
        signature: taken(signature),
        redacted: taken(inner.redacted_content).map(plain_redacted),
    }
}

/// The nested form has redacted thinking as base64 of what the provider of the model calls its
/// data, which is text; what is not was that data itself.
fn plain_redacted(base64: Cow<'_, str>) -> Cow<'_, str> {
    let bytes = STANDARD.decode(base64.as_bytes()).ok();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(data) => Cow::Owned(data),
        None => base64,
    }
}

fn taken(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(Text::into_cow).filter(|text| !text.is_empty())
}

fn thinking_block<'a>(block: &'a ThinkingBlock<'_>) -> Option<ReplyThinkingBlock<'a>> {
    let borrowed = |text: Option<&'a Text<'_>>| given(text).map(Cow::Borrowed);
    match block.r#type.as_deref() {
        Some("redacted_thinking") => Some(ReplyThinkingBlock {
            r#type: "redacted_thinking",
            data: borrowed(block.data.as_ref()),
            ..ReplyThinkingBlock::default()
        }),
        Some("thinking") | None => Some(ReplyThinkingBlock {
            r#type: "thinking",
            thinking: borrowed(block.thinking.as_ref()),
            signature: borrowed(block.signature.as_ref()),
            ..ReplyThinkingBlock::default()
        }),
        Some(_) => None,
    }
}
