//! Cohere's replies as OpenAI chat completions.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::framing::Event;
use crate::scan::place;
use crate::translate::{Binding, Outbox};
use crate::usage::Usage;
use crate::wire::cohere::{self, ReplyCall, ReplyPart, StreamEvent, Text};
use crate::wire::openai::{
    ChatChunk, ChatResponse, ChatUsage, Choice, ChunkChoice, CompletionDetails, Delta,
    PromptDetails, Raw, ReplyFunction, ReplyMessage, ReplyToolCall,
};

/// The reply side of one attempt.
pub(crate) struct ChatReply {
    id: String,
    model: String,
    /// Unix seconds.
    created: u64,
    role_sent: bool,
    /// Index at the provider of each tool call so far.
    calls: Vec<u64>,
    usage: Option<ChatUsage>,
    finished: bool,
}

impl ChatReply {
    /// A reply that is still to come.
    pub(crate) fn new(binding: &Binding<'_>) -> Self {
        Self {
            id: format!("chatcmpl-{:032x}", binding.request_id),
            model: binding.model.to_owned(),
            created: binding.now,
            role_sent: false,
            calls: Vec::new(),
            usage: None,
            finished: false,
        }
    }

    /// A whole reply.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when it cannot be read, [`Error::UpstreamStream`] when the
    /// provider broke off.
    pub(crate) fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: cohere::ChatReply<'_> = serde_json::from_slice(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the reply cannot be read: {}", place(&error)))
        })?;
        let Some(said) = &reply.message else {
            return Err(Error::UpstreamProtocol("the reply has no message".into()));
        };
        let usage = reply.usage.and_then(|raw| report(raw, out));
        let reason = reply.finish_reason.as_deref();
        if let Some(error) = failure(reason, None) {
            return Err(error);
        }
        let mut message = ReplyMessage {
            role: "assistant",
            ..ReplyMessage::default()
        };
        join(&mut message.reasoning_content, said.tool_plan.as_deref());
        for part in said.content.iter().flatten() {
            join(&mut message.content, part.text.as_deref());
            join(&mut message.reasoning_content, part.thinking.as_deref());
        }
        let calls = said.tool_calls.iter().flatten();
        message.tool_calls = calls.map(|call| tool_call(call, None)).collect();
        out.completion(&ChatResponse {
            id: given(reply.id.as_ref()).unwrap_or(&self.id),
            object: "chat.completion",
            created: self.created,
            model: &self.model,
            service_tier: None,
            choices: vec![Choice {
                index: 0,
                message,
                logprobs: None,
                finish_reason: finish_reason(reason),
            }],
            usage,
        })
    }

    /// One event of a stream. Events that are unknown or cannot be read say nothing; a stream
    /// that lost its end that way is found out by [`Self::end`].
    ///
    /// # Errors
    /// [`Error::UpstreamStream`] for an error that the provider reports.
    pub(crate) fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let Ok(body) = serde_json::from_slice::<StreamEvent<'_>>(event.data) else {
            return Ok(());
        };
        let kind = body.r#type.as_deref().unwrap_or(event.name);
        let mut delta = body.delta.unwrap_or_default();
        let message = delta.message.take().unwrap_or_default();
        match kind {
            "message-start" => {
                if let Some(id) = given(body.id.as_ref()) {
                    id.clone_into(&mut self.id);
                }
                Ok(())
            }
            "content-start" | "content-delta" => {
                let part: ReplyPart<'_> = read(message.content);
                self.said(
                    given(part.text.as_ref()),
                    given(part.thinking.as_ref()),
                    out,
                )
            }
            "tool-plan-delta" => self.said(None, given(message.tool_plan.as_ref()), out),
            "tool-call-start" | "tool-call-delta" => {
                let call: ReplyCall<'_> = read(message.tool_calls);
                self.called(body.index.unwrap_or(0), &call, out)
            }
            "message-end" => self.ended(&delta, out),
            // Ends of parts, citations, and what may come to be.
            _ => Ok(()),
        }
    }

    fn said(
        &mut self,
        content: Option<&str>,
        reasoning_content: Option<&str>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        if content.is_none() && reasoning_content.is_none() {
            return Ok(());
        }
        let delta = Delta {
            content,
            reasoning_content,
            ..Delta::default()
        };
        self.emit(delta, None, out)
    }

    fn called(&mut self, index: u64, call: &ReplyCall<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let known = self.calls.iter().position(|known| *known == index);
        let at = known.unwrap_or_else(|| {
            self.calls.push(index);
            self.calls.len() - 1
        });
        let mut call = tool_call(call, u32::try_from(at).ok());
        if known.is_some() {
            call.id = None;
            call.function.name = Some("");
        }
        let delta = Delta {
            tool_calls: vec![call],
            ..Delta::default()
        };
        self.emit(delta, None, out)
    }

    fn ended(&mut self, delta: &cohere::EventDelta<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let reason = delta.finish_reason.as_deref();
        if let Some(raw) = delta.usage {
            self.usage = report(raw, out);
        }
        if let Some(error) = failure(reason, delta.error.as_deref()) {
            return Err(error);
        }
        self.finished = true;
        self.emit(Delta::default(), Some(finish_reason(reason)), out)
    }

    /// The end of a stream.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when the message is not complete.
    pub(crate) fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        if !self.finished {
            return Err(Error::UpstreamProtocol(
                "the stream ended before the message did".into(),
            ));
        }
        if let Some(usage) = self.usage {
            out.chunk(&ChatChunk {
                usage: Some(usage),
                ..self.chunk(Vec::new())
            })?;
        }
        out.done()
    }

    /// The first chunk names the role.
    fn emit(
        &mut self,
        mut delta: Delta<'_>,
        finish_reason: Option<&'static str>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        if !std::mem::replace(&mut self.role_sent, true) {
            delta.role = Some("assistant");
        }
        out.chunk(&self.chunk(vec![ChunkChoice {
            index: 0,
            delta,
            logprobs: None,
            finish_reason,
        }]))
    }

    fn chunk<'a>(&'a self, choices: Vec<ChunkChoice<'a>>) -> ChatChunk<'a> {
        ChatChunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            service_tier: None,
            choices,
            usage: None,
        }
    }
}

/// What an event adds, empty where it is of another form.
fn read<'a, T: serde::Deserialize<'a> + Default>(raw: Option<Raw<'a>>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

fn given<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(AsRef::as_ref)
        .filter(|text: &&str| !text.is_empty())
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

fn tool_call<'a>(call: &'a ReplyCall<'_>, index: Option<u32>) -> ReplyToolCall<'a> {
    ReplyToolCall {
        index,
        id: call.id.as_deref(),
        function: ReplyFunction {
            arguments: call.function.arguments.as_deref().unwrap_or_default(),
            name: Some(call.function.name.as_deref().unwrap_or_default()),
        },
        r#type: Some("function"),
    }
}

/// A reply that broke off, whatever its status.
fn failure(reason: Option<&str>, message: Option<&str>) -> Option<Error> {
    let status = match reason? {
        "ERROR" | "ERROR_LIMIT" => 502,
        "TIMEOUT" => 504,
        _ => return None,
    };
    Some(Error::UpstreamStream {
        status,
        kind: "CohereBackendError".into(),
        message: message.unwrap_or("the provider reported an error").into(),
    })
}

/// OpenAI's word for a finish reason. Reasons that are unknown end a message that is whole.
fn finish_reason(reason: Option<&str>) -> &'static str {
    match reason {
        Some("MAX_TOKENS") => "length",
        Some("TOOL_CALL") => "tool_calls",
        Some("ERROR_TOXIC") => "content_filter",
        _ => "stop",
    }
}

/// Records usage, and gives it in the client's words. What the model saw counts; where that is
/// not told, what is billed.
fn report(raw: Raw<'_>, out: &mut Outbox<'_>) -> Option<ChatUsage> {
    let counters: cohere::Usage = serde_json::from_str(raw.get()).unwrap_or_default();
    let seen = counters.tokens.unwrap_or_default();
    let billed = counters.billed_units.unwrap_or_default();
    let input = seen.input_tokens.0.or(billed.input_tokens.0);
    let output = seen.output_tokens.0.or(billed.output_tokens.0);
    let sum = input.zip(output).map(|(i, o)| i.saturating_add(o));
    out.usage(&Usage {
        input_tokens: input,
        output_tokens: output,
        total_tokens: sum,
        cached_input_tokens: counters.cached_tokens.0,
        ..Usage::default()
    });
    input.or(output)?;
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    Some(ChatUsage {
        prompt_tokens: input,
        completion_tokens: output,
        total_tokens: input.saturating_add(output),
        completion_tokens_details: Some(CompletionDetails::default()),
        prompt_tokens_details: Some(PromptDetails {
            cached_tokens: counters.cached_tokens.0.filter(|count| *count > 0),
            cache_creation_input_tokens: None,
        }),
    })
}
