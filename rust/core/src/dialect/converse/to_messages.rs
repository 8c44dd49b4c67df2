//! Converse replies as messages.

use serde_json::value::RawValue;

use super::redacted::to_text;
use super::tools::empty_object;
use super::{exception, tokens};
use crate::dialect::claude_client::{Events, tool_input};
use crate::error::{Error, Result};
use crate::framing::{Event, EventKind};
use crate::scan::place;
use crate::translate::{Binding, Outbox};
use crate::usage::Usage;
use crate::wire::anthropic_client::{self as client, MessageReply};
use crate::wire::bedrock::{BlockDelta, ConverseResponse, Raw, ReplyBlock, StreamPayload};

/// The reply side of one attempt.
pub(crate) struct MessagesReply {
    id: String,
    model: String,
    events: Events,
    /// Block of the open tool call.
    tool: u32,
    stop_reason: Option<&'static str>,
    usage: client::Usage,
}

impl MessagesReply {
    /// A reply that is still to come.
    pub(crate) fn new(binding: &Binding<'_>) -> Self {
        Self {
            id: format!("msg_{:032x}", binding.request_id),
            model: binding.model.to_owned(),
            events: Events::default(),
            tool: 0,
            stop_reason: None,
            usage: client::Usage::default(),
        }
    }

    /// The id that the provider gives.
    pub(crate) fn name(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }

    /// A whole reply.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when it cannot be read.
    pub(crate) fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: ConverseResponse<'_> = serde_json::from_slice(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the reply cannot be read: {}", place(&error)))
        })?;
        let Some(output) = &reply.output else {
            let text = "bedrock response missing 'output'";
            return Err(Error::UpstreamProtocol(text.into()));
        };
        let blocks = output.message.as_ref().and_then(|m| m.content.as_deref());
        let blocks = blocks.unwrap_or_default();
        let redacted: Vec<Option<String>> = blocks.iter().map(redacted).collect();
        let content = blocks.iter().zip(redacted.iter().map(Option::as_deref));
        let content = content.filter_map(|(block, redacted)| content_block(block, redacted));
        let usage = reply.usage.map(|raw| report(raw, out)).unwrap_or_default();
        out.json(&MessageReply {
            id: &self.id,
            r#type: "message",
            role: "assistant",
            content: content.collect(),
            model: &self.model,
            stop_reason: reply.stop_reason.as_deref().map(stop_reason),
            stop_sequence: None,
            usage: client::Usage {
                cache_read_input_tokens: usage.cache_read_input_tokens.or(Some(0)),
                cache_creation_input_tokens: usage.cache_creation_input_tokens.or(Some(0)),
                ..usage
            },
        })
    }

    /// One event of a stream. Events that are unknown or cannot be read say nothing; a stream
    /// that lost its end that way is found out by [`Self::end`].
    ///
    /// # Errors
    /// [`Error::UpstreamStream`] for an exception.
    pub(crate) fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        if event.kind == EventKind::Exception {
            return Err(exception(event));
        }
        let Ok(payload) = serde_json::from_slice::<StreamPayload<'_>>(event.data) else {
            return Ok(());
        };
        match event.name {
            "messageStart" => self.events.start(&self.id, &self.model, out),
            "contentBlockStart" => {
                let Some(tool) = payload.start.and_then(|start| start.tool_use) else {
                    return Ok(());
                };
                self.events.start(&self.id, &self.model, out)?;
                let id = tool.tool_use_id.as_deref().unwrap_or_default();
                let name = tool.name.as_deref().unwrap_or_default();
                self.tool = self.events.tool(id, name, out)?;
                Ok(())
            }
            "contentBlockDelta" => match payload.delta {
                Some(delta) => self.delta(&delta, out),
                None => Ok(()),
            },
            "contentBlockStop" => self.events.stop_block(out),
            "messageStop" => {
                let reason = payload.stop_reason.as_deref().unwrap_or_default();
                self.stop_reason = Some(stop_reason(reason));
                Ok(())
            }
            "metadata" => {
                if let Some(raw) = payload.usage {
                    self.usage = report(raw, out);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delta(&mut self, delta: &BlockDelta<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let events = &mut self.events;
        events.start(&self.id, &self.model, out)?;
        if let Some(text) = &delta.text {
            return events.text(text, out);
        }
        if let Some(tool) = &delta.tool_use {
            return tool_input(self.tool, tool.input.as_deref().unwrap_or_default(), out);
        }
        let Some(reasoning) = &delta.reasoning_content else {
            return Ok(());
        };
        if let Some(data) = &reasoning.redacted_content {
            return events.redacted(&to_text(data), out);
        }
        events.thinking(reasoning.text.as_deref().unwrap_or_default(), out)?;
        events.signature(reasoning.signature.as_deref().unwrap_or_default(), out)
    }

    /// The end of a stream. Usage comes after the message does, so its end is told here.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when the message is not complete.
    pub(crate) fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        let Some(reason) = self.stop_reason else {
            return Err(Error::UpstreamProtocol(
                "the stream ended before the message did".into(),
            ));
        };
        self.events.start(&self.id, &self.model, out)?;
        self.events.close(reason, self.usage, out)
    }
}

/// Records usage, and gives it in the client's words: Bedrock counts as Anthropic does.
fn report(raw: Raw<'_>, out: &mut Outbox<'_>) -> client::Usage {
    let usage = tokens(raw);
    out.usage(&usage);
    client_usage(&usage)
}

fn client_usage(usage: &Usage) -> client::Usage {
    let known = |count: Option<u64>| count.filter(|count| *count > 0);
    let (read, created) = (
        known(usage.cached_input_tokens),
        known(usage.cache_creation_input_tokens),
    );
    let input = usage.input_tokens.unwrap_or(0);
    client::Usage {
        input_tokens: input
            .saturating_sub(read.unwrap_or(0))
            .saturating_sub(created.unwrap_or(0)),
        output_tokens: usage.output_tokens.unwrap_or(0),
        cache_read_input_tokens: read,
        cache_creation_input_tokens: created,
    }
}

fn stop_reason(reason: &str) -> &'static str {
    match reason {
        "max_tokens" => "max_tokens",
        "stop_sequence" => "stop_sequence",
        "tool_use" => "tool_use",
        "model_context_window_exceeded" => "model_context_window_exceeded",
        "content_filtered" | "guardrail_intervened" => "refusal",
        _ => "end_turn",
    }
}

fn content_block<'a>(
    block: &'a ReplyBlock<'a>,
    redacted: Option<&'a str>,
) -> Option<client::ReplyBlock<'a>> {
    if let Some(tool) = &block.tool_use {
        return Some(client::ReplyBlock::ToolUse {
            id: tool.tool_use_id.as_deref().unwrap_or_default(),
            name: tool.name.as_deref().unwrap_or_default(),
            input: tool.input.or_else(empty_object).unwrap_or(RawValue::NULL),
        });
    }
    if let Some(text) = &block.text {
        return Some(client::ReplyBlock::Text { text });
    }
    if let Some(data) = redacted {
        return Some(client::ReplyBlock::RedactedThinking { data });
    }
    let thought = block.reasoning_content.as_ref()?.reasoning_text.as_ref()?;
    Some(client::ReplyBlock::Thinking {
        thinking: thought.text.as_deref().unwrap_or_default(),
        signature: thought.signature.as_deref().unwrap_or_default(),
    })
}

fn redacted(block: &ReplyBlock<'_>) -> Option<String> {
    let reasoning = block.reasoning_content.as_ref()?;
    reasoning.redacted_content.as_deref().map(to_text)
}
