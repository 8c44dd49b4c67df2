//! Chat replies as messages.

use serde_json::value::RawValue;

use super::events::{Events, empty_object, tool_input};
use crate::error::{Error, Result};
use crate::translate::{Binding, Outbox};
use crate::wire::anthropic_client::{MessageReply, ReplyBlock, Usage};
use crate::wire::openai::{
    ChatChunk, ChatResponse, ChatUsage, Delta, ReplyMessage, ReplyThinkingBlock, ReplyToolCall,
};

/// The reply side of one attempt.
pub(super) struct Reply {
    /// Id of replies whose provider gives none.
    own_id: String,
    events: Events,
    tools: Vec<Tool>,
    stop_reason: Option<&'static str>,
    usage: Option<Usage>,
    id: String,
    model: String,
}

/// A tool call that has begun.
struct Tool {
    /// Index that chat gives it.
    index: u32,
    id: String,
    /// Index of its block.
    block: u32,
}

impl Reply {
    pub(super) fn new(binding: &Binding<'_>) -> Self {
        Self {
            own_id: format!("msg_{:032x}", binding.request_id),
            events: Events::default(),
            tools: Vec::new(),
            stop_reason: None,
            usage: None,
            id: String::new(),
            model: binding.model.to_owned(),
        }
    }

    /// A whole completion; its first choice counts.
    pub(super) fn completion(
        &mut self,
        reply: &ChatResponse<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let choice = reply.choices.first();
        let stop_reason = choice.map(|choice| stop_reason(choice.finish_reason));
        let usage = reply.usage.as_ref().map(usage).unwrap_or_default();
        out.json(&MessageReply {
            id: self.id_of(reply.id),
            r#type: "message",
            role: "assistant",
            content: choice.map_or_else(Vec::new, |choice| content(&choice.message)),
            model: reply.model,
            stop_reason: stop_reason.transpose()?,
            stop_sequence: None,
            usage: Usage {
                cache_read_input_tokens: usage.cache_read_input_tokens.or(Some(0)),
                cache_creation_input_tokens: usage.cache_creation_input_tokens.or(Some(0)),
                ..usage
            },
        })
    }

    /// Ids that a chat translator made up are not messages' ids.
    fn id_of<'a>(&'a self, id: &'a str) -> &'a str {
        let own = self.own_id.trim_start_matches("msg_");
        if id.is_empty() || id.strip_prefix("chatcmpl-") == Some(own) {
            &self.own_id
        } else {
            id
        }
    }

    /// The stream has its last event.
    pub(super) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// One chunk of a stream.
    pub(super) fn chunk(&mut self, chunk: &ChatChunk<'_>, out: &mut Outbox<'_>) -> Result<()> {
        if let Some(counted) = &chunk.usage {
            self.usage = Some(usage(counted));
        }
        self.name(chunk);
        let Some(choice) = chunk.choices.iter().find(|choice| choice.index == 0) else {
            // Usage in a chunk of its own is the last word of a finished message.
            return match (self.stop_reason, self.usage) {
                (Some(_), Some(_)) => self.done(out),
                _ => Ok(()),
            };
        };
        if self.events.is_closed() {
            return Ok(());
        }
        self.events.start(&self.id, &self.model, out)?;
        self.delta(&choice.delta, out)?;
        if let Some(reason) = choice.finish_reason {
            self.stop_reason = Some(stop_reason(reason)?);
        }
        Ok(())
    }

    /// Takes the first id and model that the provider gives.
    fn name(&mut self, chunk: &ChatChunk<'_>) {
        if self.id.is_empty() || self.id == self.own_id {
            self.id = self.id_of(chunk.id).to_owned();
            chunk.model.clone_into(&mut self.model);
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let events = &mut self.events;
        let reasoning = delta.reasoning_content.unwrap_or_default();
        events.thinking(reasoning, out)?;
        for block in &delta.thinking_blocks {
            thinking_block(events, block, reasoning, out)?;
        }
        events.text(delta.content.unwrap_or_default(), out)?;
        for call in &delta.tool_calls {
            self.tool_call(call, out)?;
        }
        Ok(())
    }

    fn tool_call(&mut self, call: &ReplyToolCall<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let id = call.id.unwrap_or_default();
        let block = if let Some(block) = self.known_tool(call.index, id) {
            block
        } else {
            let name = call.function.name.unwrap_or_default();
            let block = self.events.tool(id, name, out)?;
            self.tools.push(Tool {
                index: call.index.unwrap_or(0),
                id: id.to_owned(),
                block,
            });
            block
        };
        tool_input(block, call.function.arguments, out)
    }

    /// The block of a call that has begun. Some servers give all calls one index, or none: then
    /// another id begins another call.
    fn known_tool(&self, index: Option<u32>, id: &str) -> Option<u32> {
        let mut begun = self.tools.iter().rev();
        let tool = begun.find(|tool| index.is_none_or(|index| tool.index == index))?;
        let same = id.is_empty() || tool.id.is_empty() || tool.id == id;
        same.then_some(tool.block)
    }

    /// The good end of a stream.
    pub(super) fn done(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        if self.id.is_empty() {
            self.own_id.clone_into(&mut self.id);
        }
        self.events.start(&self.id, &self.model, out)?;
        let usage = self.usage.unwrap_or_default();
        let reason = self.stop_reason.unwrap_or("end_turn");
        self.events.close(reason, usage, out)
    }
}

/// The blocks may repeat the thinking that the chunk, or those before it, have as text.
fn thinking_block(
    events: &mut Events,
    block: &ReplyThinkingBlock<'_>,
    reasoning: &str,
    out: &mut Outbox<'_>,
) -> Result<()> {
    if let Some(data) = &block.data {
        return events.redacted(data, out);
    }
    let text = block.thinking.as_deref().unwrap_or_default();
    if text != reasoning && !events.has_thought(text) {
        events.thinking(text, out)?;
    }
    events.signature(block.signature.as_deref().unwrap_or_default(), out)
}

/// Anthropic's word for a finish reason. It has none for a reply that went wrong, which is an
/// error there; what is unknown ends a message well.
fn stop_reason(finish_reason: &str) -> Result<&'static str> {
    Ok(match finish_reason {
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        "content_filter" | "recitation" => "refusal",
        "error" | "language" | "malformed_function_call" | "no_image" | "unexpected_tool_call" => {
            return Err(Error::UpstreamStream {
                status: 502,
                kind: "api_error".into(),
                message: format!("the model did not finish its reply: {finish_reason}"),
            });
        }
        _ => "end_turn",
    })
}

/// Anthropic counts cache traffic apart from the input, OpenAI as a part of it.
fn usage(usage: &ChatUsage) -> Usage {
    let details = usage.prompt_tokens_details.unwrap_or_default();
    let read = details.cached_tokens.filter(|count| *count > 0);
    let created = details
        .cache_creation_input_tokens
        .filter(|count| *count > 0);
    Usage {
        input_tokens: usage
            .prompt_tokens
            .saturating_sub(read.unwrap_or(0))
            .saturating_sub(created.unwrap_or(0)),
        output_tokens: usage.completion_tokens,
        cache_read_input_tokens: read,
        cache_creation_input_tokens: created,
    }
}

// --- unary content ---

/// Thinking, then text, then tool calls.
fn content<'a>(message: &'a ReplyMessage<'a>) -> Vec<ReplyBlock<'a>> {
    let mut blocks: Vec<ReplyBlock<'a>> = message
        .thinking_blocks
        .iter()
        .map(|block| thinking(block, message))
        .collect();
    let shown = |block: &ReplyBlock<'_>| matches!(block, ReplyBlock::Thinking { .. });
    let text = message.reasoning_content.as_deref();
    if let Some(thinking) = text.filter(|text| !text.is_empty() && !blocks.iter().any(shown)) {
        let signature = "";
        blocks.insert(
            0,
            ReplyBlock::Thinking {
                thinking,
                signature,
            },
        );
    }
    let text = message.content.as_deref().filter(|text| !text.is_empty());
    blocks.extend(text.map(|text| ReplyBlock::Text { text }));
    blocks.extend(message.tool_calls.iter().map(tool_use));
    blocks
}

/// A signature without its text belongs to the text beside it.
fn thinking<'a>(
    block: &'a ReplyThinkingBlock<'a>,
    message: &'a ReplyMessage<'a>,
) -> ReplyBlock<'a> {
    if let Some(data) = &block.data {
        return ReplyBlock::RedactedThinking { data };
    }
    ReplyBlock::Thinking {
        thinking: block
            .thinking
            .as_deref()
            .or(message.reasoning_content.as_deref())
            .unwrap_or_default(),
        signature: block.signature.as_deref().unwrap_or_default(),
    }
}

/// Arguments that are no object cannot be said; clients get an empty one.
fn tool_use<'a>(call: &'a ReplyToolCall<'a>) -> ReplyBlock<'a> {
    let input = serde_json::from_str::<&RawValue>(call.function.arguments)
        .ok()
        .filter(|raw| raw.get().starts_with('{'));
    ReplyBlock::ToolUse {
        id: call.id.unwrap_or_default(),
        name: call.function.name.unwrap_or_default(),
        input: input.unwrap_or_else(|| empty_object()),
    }
}
