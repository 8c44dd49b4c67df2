//! Writes the events of a Messages stream in the order that Anthropic's libraries rely on: one
//! message, its blocks one after another, each started, filled and stopped.

use serde_json::value::RawValue;

use crate::error::Result;
use crate::translate::Outbox;
use crate::wire::anthropic_client::{
    Delta, MessageDelta, MessageReply, ReplyBlock, StreamEvent, Usage,
};

/// Where a stream is.
#[derive(Default)]
pub(crate) struct Events {
    started: bool,
    closed: bool,
    open: Option<Open>,
    /// Text of the open block of thinking.
    thought: String,
    /// Index of the open block, or of the next one.
    index: u32,
}

/// The block that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    Text,
    Thinking,
    Tool,
}

impl Events {
    /// Whether nothing may follow.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Begins the message; further calls do nothing.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::error::Error::Internal) when an event cannot be written, as
    /// of all methods here.
    pub(crate) fn start(&mut self, id: &str, model: &str, out: &mut Outbox<'_>) -> Result<()> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let message = MessageReply {
            id,
            r#type: "message",
            role: "assistant",
            content: Vec::new(),
            model,
            stop_reason: None,
            stop_sequence: None,
            usage: Usage::default(),
        };
        write(&StreamEvent::MessageStart { message }, out)
    }

    /// A piece of text.
    pub(crate) fn text(&mut self, text: &str, out: &mut Outbox<'_>) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.continue_with(Open::Text, ReplyBlock::Text { text: "" }, out)?;
        delta(self.index, Delta::Text { text }, out)
    }

    /// A piece of thinking.
    pub(crate) fn thinking(&mut self, thinking: &str, out: &mut Outbox<'_>) -> Result<()> {
        if thinking.is_empty() {
            return Ok(());
        }
        self.continue_with(Open::Thinking, EMPTY_THINKING, out)?;
        self.thought.push_str(thinking);
        delta(self.index, Delta::Thinking { thinking }, out)
    }

    /// Whether the open block of thinking says exactly this.
    pub(crate) fn has_thought(&self, thinking: &str) -> bool {
        self.open == Some(Open::Thinking) && self.thought == thinking
    }

    /// The signature of the thinking so far.
    pub(crate) fn signature(&mut self, signature: &str, out: &mut Outbox<'_>) -> Result<()> {
        if signature.is_empty() {
            return Ok(());
        }
        self.continue_with(Open::Thinking, EMPTY_THINKING, out)?;
        delta(self.index, Delta::Signature { signature }, out)
    }

    /// A whole block of redacted thinking.
    pub(crate) fn redacted(&mut self, data: &str, out: &mut Outbox<'_>) -> Result<()> {
        self.stop_block(out)?;
        self.start_block(ReplyBlock::RedactedThinking { data }, out)?;
        write(&StreamEvent::ContentBlockStop { index: self.index }, out)?;
        self.index += 1;
        Ok(())
    }

    /// Begins a tool call; returns the index of its block.
    pub(crate) fn tool(&mut self, id: &str, name: &str, out: &mut Outbox<'_>) -> Result<u32> {
        self.stop_block(out)?;
        let input = empty_object();
        self.start_block(ReplyBlock::ToolUse { id, name, input }, out)?;
        self.open = Some(Open::Tool);
        Ok(self.index)
    }

    /// Ends the message; further calls do nothing.
    pub(crate) fn close(
        &mut self,
        stop_reason: &str,
        usage: Usage,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.stop_block(out)?;
        let delta = MessageDelta {
            stop_reason: Some(stop_reason),
            stop_sequence: None,
        };
        write(&StreamEvent::MessageDelta { delta, usage }, out)?;
        write(&StreamEvent::MessageStop, out)
    }

    fn continue_with(
        &mut self,
        kind: Open,
        block: ReplyBlock<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        if self.open == Some(kind) {
            return Ok(());
        }
        self.stop_block(out)?;
        self.start_block(block, out)?;
        self.open = Some(kind);
        Ok(())
    }

    fn start_block(&mut self, content_block: ReplyBlock<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let index = self.index;
        write(
            &StreamEvent::ContentBlockStart {
                index,
                content_block,
            },
            out,
        )
    }

    /// Stops the open block, if there is one.
    pub(crate) fn stop_block(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        if self.open.take().is_none() {
            return Ok(());
        }
        let index = self.index;
        self.index += 1;
        self.thought.clear();
        write(&StreamEvent::ContentBlockStop { index }, out)
    }
}

/// A piece of the arguments of the tool call in block `index`, which may have been stopped.
///
/// # Errors
/// [`Error::Internal`](crate::error::Error::Internal) when the event cannot be written.
pub(crate) fn tool_input(index: u32, json: &str, out: &mut Outbox<'_>) -> Result<()> {
    if json.is_empty() {
        return Ok(());
    }
    delta(index, Delta::InputJson { partial_json: json }, out)
}

fn delta(index: u32, delta: Delta<'_>, out: &mut Outbox<'_>) -> Result<()> {
    write(&StreamEvent::ContentBlockDelta { index, delta }, out)
}

const EMPTY_THINKING: ReplyBlock<'static> = ReplyBlock::Thinking {
    thinking: "",
    signature: "",
};

/// `{}`.
pub(crate) fn empty_object() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

fn write(event: &StreamEvent<'_>, out: &mut Outbox<'_>) -> Result<()> {
    out.sse_named(event.name(), event)
}
