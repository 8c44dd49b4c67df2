//! Claude's stream events as OpenAI chunks.

use std::borrow::Cow;

use super::reply::{Head, finish_reason, redacted};
use super::usage::{self, client_usage, merge_usage};
use crate::error::{Error, Result};
use crate::framing::Event;
use crate::translate::{Outbox, stream_error};
use crate::usage::Usage;
use crate::wire::anthropic::{self, ReplyBlock, StartedMessage, StreamEvent};
use crate::wire::openai::{
    ChatChunk, ChunkChoice, Delta, ReplyFunction, ReplyThinkingBlock, ReplyToolCall,
};

/// Events that make a reply; what else may come is ignored.
const KNOWN: [&str; 8] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
];

/// State of one stream.
#[derive(Default)]
pub(super) struct Stream {
    /// Decided by the first chunk or event that needs one, then the same for all chunks.
    id: String,
    started: bool,
    role_sent: bool,
    stopped: bool,
    blocks: Vec<Started>,
    tool_calls: u32,
    thoughts: u32,
    stop_reason: Option<String>,
    usage: Usage,
}

/// A block that the stream has begun.
struct Started {
    /// Its index at the provider.
    index: u64,
    shown: Shown,
}

/// What an OpenAI client sees of a block.
#[derive(Clone, Copy)]
enum Shown {
    /// A tool call with this index.
    Call {
        at: u32,
        /// Whether the client has any of its arguments.
        arguments: Arguments,
    },
    /// Thinking, in `thinking_blocks` with this index.
    Thought(u32),
    /// Text, or nothing.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    None,
    Some,
}

impl Stream {
    pub(super) fn advance(
        &mut self,
        head: &Head,
        event: Event<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        if self.stopped {
            return Ok(());
        }
        let body: StreamEvent<'_> = match serde_json::from_slice(event.data) {
            Ok(body) => body,
            Err(_) => return odd_event(event),
        };
        // Some hosts leave the event name out, so the body decides.
        let kind = body.r#type.as_deref().unwrap_or(event.name);
        if let ("" | "error", Some(error)) = (kind, body.error) {
            return Err(stream_error(error.get().as_bytes()));
        }
        match kind {
            "error" => Err(stream_error(event.data)),
            "message_start" => {
                self.start(head, body.message.as_ref(), out);
                Ok(())
            }
            "content_block_start" => {
                let block = body.content_block.ok_or_else(|| unreadable(event.name))?;
                self.start_block(head, body.index.unwrap_or(0), &block, out)
            }
            "content_block_delta" => {
                let delta = body.delta.ok_or_else(|| unreadable(event.name))?;
                self.continue_block(head, body.index.unwrap_or(0), &delta, out)
            }
            "content_block_stop" => self.stop_block(head, body.index.unwrap_or(0), out),
            "message_delta" => {
                self.update(&body, out);
                Ok(())
            }
            "message_stop" => self.stop(head, out),
            // Before the message begins a ping would release the reply's head, and with it the
            // chance of another try.
            "ping" if self.started => self.emit(head, Delta::default(), out),
            _ => Ok(()),
        }
    }

    /// The end of the bytes.
    pub(super) fn end(&mut self, head: &Head, out: &mut Outbox<'_>) -> Result<()> {
        if !self.stopped {
            return Err(Error::UpstreamProtocol(
                "the stream ended before message_stop".into(),
            ));
        }
        if !self.usage.is_empty() {
            usage::whole(&mut self.usage);
            out.usage(&self.usage);
            if self.usage.total_tokens.is_some_and(|total| total > 0) {
                out.chunk(&ChatChunk {
                    usage: Some(client_usage(&self.usage)),
                    ..self.chunk(head, Vec::new())
                })?;
            }
        }
        out.done()
    }

    // --- message ---

    fn start(&mut self, head: &Head, message: Option<&StartedMessage<'_>>, out: &mut Outbox<'_>) {
        self.started = true;
        let id = message.and_then(|message| message.id.as_deref());
        self.decide_id(head, id.unwrap_or_default());
        if let Some(raw) = message.and_then(|message| message.usage) {
            merge_usage(&mut self.usage, raw.get().as_bytes());
            self.usage.cached_input_tokens.get_or_insert(0);
            self.usage.cache_creation_input_tokens.get_or_insert(0);
            // It counts the first token only.
            self.usage.output_tokens = None;
            self.usage.total_tokens = None;
            out.usage(&self.usage);
        }
    }

    fn update(&mut self, body: &StreamEvent<'_>, out: &mut Outbox<'_>) {
        if let Some(raw) = body.usage {
            merge_usage(&mut self.usage, raw.get().as_bytes());
            out.usage(&self.usage);
        }
        let reason = body
            .delta
            .as_ref()
            .and_then(|delta| delta.stop_reason.as_deref());
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            self.stop_reason = Some(reason.to_owned());
        }
    }

    fn stop(&mut self, head: &Head, out: &mut Outbox<'_>) -> Result<()> {
        self.stopped = true;
        self.decide_id(head, "");
        let finish_reason = Some(finish_reason(self.stop_reason.as_deref()));
        out.chunk(&self.chunk(
            head,
            vec![ChunkChoice {
                index: 0,
                delta: Delta::default(),
                logprobs: None,
                finish_reason,
            }],
        ))
    }

    // --- blocks ---

    fn start_block(
        &mut self,
        head: &Head,
        index: u64,
        block: &ReplyBlock<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let kind = block.r#type.as_deref().unwrap_or_default();
        let shown = match kind {
            "tool_use" | "server_tool_use" => return self.start_tool_call(head, index, block, out),
            "thinking" | "redacted_thinking" => {
                let at = self.thoughts;
                self.thoughts += 1;
                Shown::Thought(at)
            }
            _ => Shown::Other,
        };
        self.blocks.push(Started { index, shown });
        match kind {
            "text" => self.text(head, block.text.as_deref(), out),
            "thinking" => {
                self.reasoning(head, index, block.thinking.as_deref(), out)?;
                self.signature(head, index, block.signature.as_deref(), out)
            }
            "redacted_thinking" => match redacted(block) {
                Some(piece) => self.thought(head, index, None, piece, out),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn start_tool_call(
        &mut self,
        head: &Head,
        index: u64,
        block: &ReplyBlock<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        // Usually an empty object: the arguments come in pieces.
        let input = block.input.map_or("{}", |raw| raw.get());
        if !input.starts_with('{') {
            return Err(Error::UpstreamProtocol(
                "the input of a tool call is not an object".into(),
            ));
        }
        let is_empty = input
            .trim_matches(['{', '}', ' ', '\t', '\r', '\n'])
            .is_empty();
        let at = self.tool_calls;
        self.tool_calls += 1;
        let arguments = if is_empty {
            Arguments::None
        } else {
            Arguments::Some
        };
        self.blocks.push(Started {
            index,
            shown: Shown::Call { at, arguments },
        });
        let call = ReplyToolCall {
            index: Some(at),
            id: Some(block.id.as_deref().unwrap_or_default()),
            function: ReplyFunction {
                arguments: if is_empty { "" } else { input },
                name: Some(block.name.as_deref().unwrap_or_default()),
            },
            r#type: Some("function"),
        };
        self.tool_call(head, call, out)
    }

    fn continue_block(
        &mut self,
        head: &Head,
        index: u64,
        delta: &anthropic::Delta<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        match delta.r#type.as_deref().unwrap_or_default() {
            "text_delta" => self.text(head, delta.text.as_deref(), out),
            "thinking_delta" => self.reasoning(head, index, delta.thinking.as_deref(), out),
            "signature_delta" => self.signature(head, index, delta.signature.as_deref(), out),
            "input_json_delta" => {
                let json = delta.partial_json.as_deref().unwrap_or_default();
                self.arguments(head, index, json, out)
            }
            _ => Ok(()),
        }
    }

    fn arguments(
        &mut self,
        head: &Head,
        index: u64,
        json: &str,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let mut blocks = self.blocks.iter_mut().rev();
        let Some(block) = blocks.find(|block| block.index == index) else {
            return Err(Error::UpstreamProtocol(format!(
                "received input_json_delta for unknown tool at index {index}"
            )));
        };
        match &mut block.shown {
            Shown::Call { at, arguments } => {
                if !json.is_empty() {
                    *arguments = Arguments::Some;
                }
                let call = more_arguments(*at, json);
                self.tool_call(head, call, out)
            }
            // A block of a kind that OpenAI clients do not see.
            Shown::Thought(_) | Shown::Other => Ok(()),
        }
    }

    /// A call without arguments streams none, but clients parse what they have collected.
    fn stop_block(&mut self, head: &Head, index: u64, out: &mut Outbox<'_>) -> Result<()> {
        match self.shown(index) {
            Some(Shown::Call {
                arguments: Arguments::None,
                ..
            }) => self.arguments(head, index, "{}", out),
            _ => Ok(()),
        }
    }

    /// What the client sees of the last block with this index.
    fn shown(&self, index: u64) -> Option<Shown> {
        let mut blocks = self.blocks.iter().rev();
        let block = blocks.find(|block| block.index == index)?;
        Some(block.shown)
    }

    // --- chunks ---

    fn text(&mut self, head: &Head, text: Option<&str>, out: &mut Outbox<'_>) -> Result<()> {
        let content = text.filter(|text| !text.is_empty());
        self.emit_output(
            head,
            content.map(|text| Delta {
                content: Some(text),
                ..Delta::default()
            }),
            out,
        )
    }

    /// Thinking as text, and as a piece of the block that clients send back.
    fn reasoning(
        &mut self,
        head: &Head,
        index: u64,
        text: Option<&str>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let piece = ReplyThinkingBlock {
            r#type: "thinking",
            thinking: Some(Cow::Borrowed(text)),
            ..ReplyThinkingBlock::default()
        };
        self.thought(head, index, Some(text), piece, out)
    }

    /// Thinking that was not shown has a text too, an empty one.
    fn signature(
        &mut self,
        head: &Head,
        index: u64,
        signature: Option<&str>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let Some(signature) = signature.filter(|signature| !signature.is_empty()) else {
            return Ok(());
        };
        let piece = ReplyThinkingBlock {
            r#type: "thinking",
            thinking: Some(Cow::Borrowed("")),
            signature: Some(Cow::Borrowed(signature)),
            ..ReplyThinkingBlock::default()
        };
        self.thought(head, index, None, piece, out)
    }

    fn thought(
        &mut self,
        head: &Head,
        index: u64,
        text: Option<&str>,
        mut piece: ReplyThinkingBlock<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        if let Some(Shown::Thought(at)) = self.shown(index) {
            piece.index = Some(at);
        }
        let delta = Delta {
            reasoning_content: text,
            thinking_blocks: vec![piece],
            ..Delta::default()
        };
        self.emit_output(head, Some(delta), out)
    }

    fn tool_call(
        &mut self,
        head: &Head,
        call: ReplyToolCall<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let delta = Delta {
            tool_calls: vec![call],
            ..Delta::default()
        };
        self.emit_output(head, Some(delta), out)
    }

    /// The first output of a message names the role.
    fn emit_output(
        &mut self,
        head: &Head,
        delta: Option<Delta<'_>>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let Some(mut delta) = delta else {
            return Ok(());
        };
        if !std::mem::replace(&mut self.role_sent, true) {
            delta.role = Some("assistant");
        }
        self.emit(head, delta, out)
    }

    fn emit(&mut self, head: &Head, delta: Delta<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.decide_id(head, "");
        out.chunk(&self.chunk(
            head,
            vec![ChunkChoice {
                index: 0,
                delta,
                logprobs: None,
                finish_reason: None,
            }],
        ))
    }

    fn decide_id(&mut self, head: &Head, given: &str) {
        if self.id.is_empty() {
            let id = if given.is_empty() {
                &head.own_id
            } else {
                given
            };
            id.clone_into(&mut self.id);
        }
    }

    fn chunk<'a>(&'a self, head: &'a Head, choices: Vec<ChunkChoice<'a>>) -> ChatChunk<'a> {
        ChatChunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: head.created,
            model: &head.model,
            service_tier: None,
            choices,
            usage: None,
        }
    }
}

/// The `type` of an event; `None` when it has none.
pub(crate) fn event_type(data: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Typed {
        r#type: String,
    }
    let typed: Typed = serde_json::from_slice(data).ok()?;
    Some(typed.r#type)
}

/// The next piece of a call that the client knows.
fn more_arguments(index: u32, json: &str) -> ReplyToolCall<'_> {
    ReplyToolCall {
        index: Some(index),
        id: None,
        function: ReplyFunction {
            arguments: json,
            name: Some(""),
        },
        r#type: None,
    }
}

/// An event that is none of the known forms: an error in words, a new kind of event, which may
/// have any form, or a broken one.
fn odd_event(event: Event<'_>) -> Result<()> {
    let named = event_type(event.data).unwrap_or_else(|| event.name.to_owned());
    match named.as_str() {
        "error" => Err(stream_error(event.data)),
        "" => Err(unreadable("")),
        known if KNOWN.contains(&known) => Err(unreadable(known)),
        _ => Ok(()),
    }
}

fn unreadable(event: &str) -> Error {
    let name = KNOWN.iter().find(|known| **known == event);
    Error::UpstreamProtocol(match name {
        Some(name) => format!("a {name} event cannot be read"),
        None => "an event cannot be read".to_owned(),
    })
}
