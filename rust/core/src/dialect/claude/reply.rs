//! Claude's messages as OpenAI chat completions.

use std::borrow::Cow;

use super::stream::Stream;
use super::usage::{self, client_usage, merge_usage};
use crate::error::{Error, Result};
use crate::framing::Event;
use crate::scan::place;
use crate::translate::{Binding, Outbox, stream_error};
use crate::usage::Usage;
use crate::wire::anthropic::{MessageReply, ReplyBlock, Text};
use crate::wire::openai::{
    ChatResponse, Choice, ReplyFunction, ReplyMessage, ReplyThinkingBlock, ReplyToolCall,
};

/// The reply side of one attempt.
pub(crate) struct ChatReply {
    head: Head,
    stream: Stream,
}

/// What every completion and chunk begins with.
pub(super) struct Head {
    /// Model to name when the reply names none.
    pub(super) model: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// Id of replies that have none.
    pub(super) own_id: String,
}

impl ChatReply {
    /// A reply that is still to come.
    pub(crate) fn new(binding: &Binding<'_>) -> Self {
        Self {
            head: Head {
                model: binding.model.to_owned(),
                created: binding.now,
                own_id: format!("chatcmpl-{:032x}", binding.request_id),
            },
            stream: Stream::default(),
        }
    }

    /// A whole message.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when it cannot be read, [`Error::UpstreamStream`] when it is
    /// an error.
    pub(crate) fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: MessageReply<'_> = serde_json::from_slice(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the message cannot be read: {}", place(&error)))
        })?;
        let content = match (&reply.content, reply.error) {
            (Some(content), _) => content,
            (None, Some(error)) => return Err(stream_error(error.get().as_bytes())),
            (None, None) => {
                let text = "the message has no content".to_owned();
                return Err(Error::UpstreamProtocol(text));
            }
        };
        let usage = reply.usage.map(|raw| {
            let mut usage = Usage::default();
            merge_usage(&mut usage, raw.get().as_bytes());
            usage::whole(&mut usage);
            usage
        });
        if let Some(usage) = &usage {
            out.usage(usage);
        }
        let model = given(reply.model.as_ref()).unwrap_or(&self.head.model);
        out.response_model(model);
        out.completion(&ChatResponse {
            id: given(reply.id.as_ref()).unwrap_or(&self.head.own_id),
            object: "chat.completion",
            created: self.head.created,
            model,
            service_tier: None,
            choices: vec![Choice {
                index: 0,
                message: message(content),
                logprobs: None,
                finish_reason: finish_reason(reply.stop_reason.as_deref()),
            }],
            usage: usage.as_ref().map(client_usage),
        })
    }

    /// One event of a stream.
    ///
    /// # Errors
    /// [`Error::UpstreamStream`] for an error that the provider reports,
    /// [`Error::UpstreamProtocol`] for an event that cannot be read.
    pub(crate) fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.stream.advance(&self.head, event, out)
    }

    /// The end of a stream.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when the message is not complete.
    pub(crate) fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.stream.end(&self.head, out)
    }
}

fn given<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(AsRef::as_ref)
        .filter(|text: &&str| !text.is_empty())
}

/// OpenAI's word for a stop reason. Reasons that are still unknown here end a message well.
pub(super) fn finish_reason(stop_reason: Option<&str>) -> &'static str {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => "length",
        Some("tool_use") => "tool_calls",
        Some("refusal") => "content_filter",
        _ => "stop",
    }
}

/// Texts are joined; blocks that no OpenAI client knows are left out.
fn message<'a>(content: &'a [ReplyBlock<'a>]) -> ReplyMessage<'a> {
    let mut message = ReplyMessage {
        role: "assistant",
        ..ReplyMessage::default()
    };
    for block in content {
        match block.r#type.as_deref().unwrap_or_default() {
            "text" => join(&mut message.content, block.text.as_deref()),
            "tool_use" => message.tool_calls.extend(tool_call(block)),
            "thinking" => {
                join(&mut message.reasoning_content, block.thinking.as_deref());
                message.thinking_blocks.extend(thinking(block));
            }
            "redacted_thinking" => message.thinking_blocks.extend(redacted(block)),
            _ => {}
        }
    }
    message
}

fn join<'a>(to: &mut Option<Cow<'a, str>>, text: Option<&'a str>) {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return;
    };
    *to = Some(match to.take() {
        None => Cow::Borrowed(text),
        Some(head) => Cow::Owned(head.into_owned() + text),
    });
}

fn tool_call<'a>(block: &'a ReplyBlock<'a>) -> Option<ReplyToolCall<'a>> {
    let id = given(block.id.as_ref())?;
    Some(ReplyToolCall {
        index: None,
        id: Some(id),
        function: ReplyFunction {
            arguments: block.input.map_or("{}", |input| input.get()),
            name: Some(block.name.as_deref().unwrap_or_default()),
        },
        r#type: Some("function"),
    })
}

/// A thinking block whose text was left out still has its signature, which clients send back.
fn thinking<'a>(block: &'a ReplyBlock<'a>) -> Option<ReplyThinkingBlock<'a>> {
    let text = block.thinking.as_deref().unwrap_or_default();
    let signature = given(block.signature.as_ref());
    (!text.is_empty() || signature.is_some()).then(|| ReplyThinkingBlock {
        r#type: "thinking",
        thinking: Some(Cow::Borrowed(text)),
        signature: signature.map(Cow::Borrowed),
        ..ReplyThinkingBlock::default()
    })
}

pub(super) fn redacted<'a>(block: &'a ReplyBlock<'a>) -> Option<ReplyThinkingBlock<'a>> {
    given(block.data.as_ref()).map(|data| ReplyThinkingBlock {
        r#type: "redacted_thinking",
        data: Some(Cow::Borrowed(data)),
        ..ReplyThinkingBlock::default()
    })
}
