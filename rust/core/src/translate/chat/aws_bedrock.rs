//! OpenAI chat completions to AWS Bedrock `Converse` and `ConverseStream`.
//!
//! Rejected (422): audio and video parts; images that are not inline PNG, JPEG, GIF or WebP;
//! files without inline data or of no Bedrock document type; system parts other than text;
//! tool arguments and parameters that are not objects; a tool choice by object without a
//! function name; tool calls and results without an id; redacted thinking that is not base64.
//!
//! Dropped by contract: `frequency_penalty`, `presence_penalty`, `logit_bias`, `logprobs`,
//! `top_logprobs`, `top_k`, `n`, `seed`, `response_format`, `user`, `metadata`,
//! `parallel_tool_calls`, `modalities`, `audio`, `prediction`, `verbosity`, `web_search_options`,
//! `stream_options` (usage is always sent), `service_tier` `auto`, `thinking.includeThoughts`;
//! `guided_choice`, `guided_regex`, `guided_json`, and Gemini's own members; tool choices by
//! words that mean nothing to the model, and `none` when the conversation has used tools; a
//! function's `strict`, tools without a function, an image's `detail`, a message's `name` and its
//! `refusal` and `audio` members, reasoning without a signature, assistant parts of unknown
//! type, empty texts; of replies: images, documents, citations, cache details, metrics and
//! traces.

use std::borrow::Cow;

use crate::dialect::converse::{self, Operation};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::framing::{Event, EventKind, Framing};
use crate::headers::Headers;
use crate::scan::place;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Dropped, Outbox, ProviderError, Translate, Upstream};
use crate::wire::bedrock::{
    BlockDelta, BlockStart, ConverseResponse, Raw, ReasoningDelta, ReplyBlock, ReplyTier,
    ReplyToolUse, StreamPayload, Text,
};
use crate::wire::openai::{
    ChatChunk, ChatRequest, ChatResponse, ChatUsage, Choice, ChunkChoice, Delta, ReplyFunction,
    ReplyMessage, ReplyThinkingBlock, ReplyToolCall,
};

const ASSISTANT: &str = "assistant";

pub(crate) struct Chat {
    operation: Operation,
    head: Head,
    events: Events,
}

/// What every completion and chunk begins with.
struct Head {
    id: String,
    model: String,
    /// Unix seconds.
    created: u64,
}

impl Translate for Chat {
    const ENDPOINT: Endpoint = Endpoint::ChatCompletions;
    const SCHEMA: ApiSchema = ApiSchema::AWSBedrock;
    const FRAMING: Framing = Framing::EventStream;
    type Request<'a> = ChatRequest<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            operation: Operation::of(binding.stream),
            head: Head {
                id: format!("chatcmpl-{:032x}", binding.request_id),
                model: binding.model.to_owned(),
                created: binding.now,
            },
            events: Events::default(),
        }
    }

    fn request(&mut self, req: &ChatRequest<'_>) -> Result<Upstream> {
        let mut dropped = Dropped::default();
        let body = converse::chat_request(req, &self.head.model, &mut dropped)?;
        let mut upstream = Upstream::json(self.operation.path(&self.head.model), &body)?;
        upstream.dropped = dropped;
        Ok(upstream)
    }

    fn response_head(&mut self, headers: &Headers) {
        if let Some(id) = converse::request_id(headers) {
            id.clone_into(&mut self.head.id);
        }
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: ConverseResponse<'_> = serde_json::from_slice(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the reply cannot be read: {}", place(&error)))
        })?;
        let Some(output) = &reply.output else {
            let text = "bedrock response missing 'output'";
            return Err(Error::UpstreamProtocol(text.into()));
        };
        let content = output.message.as_ref().and_then(|m| m.content.as_deref());
        let usage = reply.usage.and_then(|usage| report_usage(usage, out));
        out.completion(&ChatResponse {
            id: &self.head.id,
            object: "chat.completion",
            created: self.head.created,
            model: &self.head.model,
            service_tier: tier(reply.service_tier.as_ref()),
            choices: vec![Choice {
                index: 0,
                message: message(content.unwrap_or_default()),
                logprobs: None,
                finish_reason: finish_reason(reply.stop_reason.as_deref()),
            }],
            usage,
        })
    }

    fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        match event.kind {
            EventKind::Exception => Err(converse::exception(event)),
            EventKind::Data => self.events.advance(event, &self.head, out),
        }
    }

    fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        if !self.events.stopped {
            return Err(Error::UpstreamProtocol(
                "the stream ended before the message did".into(),
            ));
        }
        out.done()
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        converse::provider_error(headers, body)
    }
}

// --- reply ---

fn tier<'a>(tier: Option<&'a ReplyTier<'a>>) -> Option<&'a str> {
    tier?.r#type.as_deref()
}

fn finish_reason(stop_reason: Option<&str>) -> &'static str {
    match stop_reason.unwrap_or_default() {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "content_filtered" | "guardrail_intervened" => "content_filter",
        "tool_use" => "tool_calls",
        _ => "stop",
    }
}

/// Records usage, and gives it in the client's words.
fn report_usage(raw: Raw<'_>, out: &mut Outbox<'_>) -> Option<ChatUsage> {
    let usage = converse::tokens(raw);
    out.usage(&usage);
    converse::chat_usage(&usage)
}

fn message<'a>(blocks: &'a [ReplyBlock<'a>]) -> ReplyMessage<'a> {
    let mut message = ReplyMessage {
        role: ASSISTANT,
        ..ReplyMessage::default()
    };
    for block in blocks {
        add_block(&mut message, block);
    }
    message
}

fn add_block<'a>(message: &mut ReplyMessage<'a>, block: &'a ReplyBlock<'a>) {
    if let Some(tool) = &block.tool_use {
        message.tool_calls.push(tool_call(tool));
    } else if let Some(text) = &block.text {
        message.content = Some(match message.content.take() {
            None => Cow::Borrowed(text.as_ref()),
            Some(head) => Cow::Owned(head.into_owned() + text),
        });
    } else if let Some(reasoning) = &block.reasoning_content {
        if let Some(thought) = &reasoning.reasoning_text {
            let text = given(thought.text.as_ref());
            let signature = given(thought.signature.as_ref());
            if text.is_some() {
                message.reasoning_content = text.map(Cow::Borrowed);
            }
            message
                .thinking_blocks
                .extend(thinking_block(text, signature));
        } else {
            let data = reasoning.redacted_content.as_ref();
            message.thinking_blocks.extend(redacted_block(given(data)));
        }
    }
}

fn given<'a>(text: Option<&'a Text<'a>>) -> Option<&'a str> {
    text.map(AsRef::as_ref).filter(|text| !text.is_empty())
}

fn thinking_block<'a>(
    thinking: Option<&'a str>,
    signature: Option<&'a str>,
) -> Option<ReplyThinkingBlock<'a>> {
    (thinking.is_some() || signature.is_some()).then(|| ReplyThinkingBlock {
        r#type: "thinking",
        thinking: thinking.map(Cow::Borrowed),
        signature: signature.map(Cow::Borrowed),
        ..ReplyThinkingBlock::default()
    })
}

fn redacted_block(data: Option<&str>) -> Option<ReplyThinkingBlock<'_>> {
    data.map(|data| ReplyThinkingBlock {
        r#type: "redacted_thinking",
        data: Some(Cow::Borrowed(data)),
        ..ReplyThinkingBlock::default()
    })
}

fn tool_call<'a>(tool: &'a ReplyToolUse<'a>) -> ReplyToolCall<'a> {
    ReplyToolCall {
        index: None,
        id: tool.tool_use_id.as_deref(),
        function: ReplyFunction {
            arguments: tool.input.map_or("{}", |input| input.get()),
            name: Some(tool.name.as_deref().unwrap_or_default()),
        },
        r#type: Some("function"),
    }
}

// --- stream ---

/// Where a stream is.
#[derive(Default)]
struct Events {
    /// The client knows the role: libraries that put chunks together want it once.
    introduced: bool,
    /// Tool calls so far: OpenAI counts these, Bedrock all blocks.
    tools: u32,
    open: Open,
    /// Blocks of thinking that have ended.
    thoughts: u32,
    stopped: bool,
}

/// What the open block is to the client.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    /// Text, or nothing.
    #[default]
    Other,
    /// A tool call of whose arguments the client has nothing.
    BareCall,
    Call,
    /// Thinking, in `thinking_blocks`.
    Thought,
}

impl Events {
    /// One event. Events that are unknown or cannot be read say nothing; a stream that lost
    /// its end that way is found out by [`Chat::end`].
    fn advance(&mut self, event: Event<'_>, head: &Head, out: &mut Outbox<'_>) -> Result<()> {
        let Ok(payload) = serde_json::from_slice::<StreamPayload<'_>>(event.data) else {
            return Ok(());
        };
        match event.name {
            "messageStart" if payload.role.is_some() => self.delta(head, content(""), None, out),
            "contentBlockStart" => match payload.start {
                Some(start) => self.start(head, &start, out),
                None => Ok(()),
            },
            "contentBlockDelta" => match payload.delta {
                Some(delta) => self.block_delta(head, &delta, out),
                None => Ok(()),
            },
            "contentBlockStop" => self.end_block(head, out),
            "messageStop" => {
                self.end_block(head, out)?;
                self.stopped = true;
                let Some(reason) = payload.stop_reason else {
                    return Ok(());
                };
                self.delta(head, content(""), Some(finish_reason(Some(&reason))), out)
            }
            "metadata" => metadata(head, &payload, out),
            _ => Ok(()),
        }
    }

    /// A call without arguments streams none, but clients parse what they have collected.
    fn end_block(&mut self, head: &Head, out: &mut Outbox<'_>) -> Result<()> {
        match std::mem::take(&mut self.open) {
            Open::Other => {}
            Open::BareCall => {
                self.delta(head, calling(self.arguments("{}")), None, out)?;
                self.tools += 1;
            }
            Open::Call => self.tools += 1,
            Open::Thought => self.thoughts += 1,
        }
        Ok(())
    }

    fn start(&mut self, head: &Head, start: &BlockStart<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let Some(tool) = &start.tool_use else {
            return Ok(());
        };
        self.end_block(head, out)?;
        self.open = Open::BareCall;
        let call = ReplyToolCall {
            index: Some(self.tools),
            function: ReplyFunction {
                arguments: "",
                name: Some(tool.name.as_deref().unwrap_or_default()),
            },
            ..tool_call(tool)
        };
        self.delta(head, calling(call), None, out)
    }

    fn block_delta(
        &mut self,
        head: &Head,
        delta: &BlockDelta<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let delta = if let Some(text) = &delta.text {
            content(text)
        } else if let Some(tool) = &delta.tool_use {
            let arguments = tool.input.as_deref().unwrap_or_default();
            if !arguments.is_empty() {
                self.open = Open::Call;
            }
            calling(self.arguments(arguments))
        } else if let Some(reasoning) = &delta.reasoning_content {
            self.thinking(reasoning)
        } else {
            return Ok(());
        };
        self.delta(head, delta, None, out)
    }

    /// The next piece of the open call.
    fn arguments<'a>(&self, json: &'a str) -> ReplyToolCall<'a> {
        ReplyToolCall {
            index: Some(self.tools),
            id: None,
            function: ReplyFunction {
                arguments: json,
                name: Some(""),
            },
            r#type: Some("function"),
        }
    }

    /// Text goes on as text only; signatures and redacted thinking as pieces of blocks, which
    /// libraries join by their index.
    fn thinking<'a>(&mut self, reasoning: &'a ReasoningDelta<'a>) -> Delta<'a> {
        let signed = thinking_block(None, given(reasoning.signature.as_ref()));
        let redacted = redacted_block(given(reasoning.redacted_content.as_ref()));
        let mut thinking_blocks: Vec<_> = signed.into_iter().chain(redacted).collect();
        for piece in &mut thinking_blocks {
            piece.index = Some(self.thoughts);
            self.open = Open::Thought;
        }
        Delta {
            reasoning_content: given(reasoning.text.as_ref()),
            thinking_blocks,
            ..Delta::default()
        }
    }

    fn delta(
        &mut self,
        head: &Head,
        delta: Delta<'_>,
        finish_reason: Option<&'static str>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let introduced = std::mem::replace(&mut self.introduced, true);
        let choice = ChunkChoice {
            index: 0,
            delta: Delta {
                role: (!introduced).then_some(ASSISTANT),
                ..delta
            },
            logprobs: None,
            finish_reason,
        };
        out.chunk(&chunk(head, vec![choice]))
    }
}

/// Usage comes after the message, as a chunk without choices.
fn metadata(head: &Head, payload: &StreamPayload<'_>, out: &mut Outbox<'_>) -> Result<()> {
    let Some(usage) = payload.usage.and_then(|usage| report_usage(usage, out)) else {
        return Ok(());
    };
    out.chunk(&ChatChunk {
        usage: Some(usage),
        service_tier: tier(payload.service_tier.as_ref()),
        ..chunk(head, Vec::new())
    })
}

fn chunk<'a>(head: &'a Head, choices: Vec<ChunkChoice<'a>>) -> ChatChunk<'a> {
    ChatChunk {
        id: &head.id,
        object: "chat.completion.chunk",
        created: head.created,
        model: &head.model,
        service_tier: None,
        choices,
        usage: None,
    }
}

fn content(text: &str) -> Delta<'_> {
    Delta {
        content: Some(text),
        ..Delta::default()
    }
}

fn calling(call: ReplyToolCall<'_>) -> Delta<'_> {
    Delta {
        tool_calls: vec![call],
        ..Delta::default()
    }
}
