//! Gemini's replies as OpenAI chat completions.

use std::borrow::Cow;

use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::Value;

use super::error::stream_error;
use super::stream::Stream;
use super::usage::{client_usage, tokens};
use crate::error::{Error, Result};
use crate::framing::Event;
use crate::scan::place;
use crate::translate::{Binding, Outbox};
use crate::wire::gemini::{
    Candidate, GenerateReply, LogprobsResult, PromptFeedback, Raw, ReplyCall, ReplyPart,
    ScoredToken, Text,
};
use crate::wire::openai::{
    ChatRequest, ChatResponse, Choice, Logprobs, ReplyFunction, ReplyMessage, ReplyThinkingBlock,
    ReplyToolCall, TokenLogprob, TopLogprob,
};

/// The reply side of one attempt.
pub(crate) struct ChatReply {
    head: Head,
    mode: Mode,
    stream: Stream,
}

/// What completions and chunks begin with when the reply says nothing else.
pub(super) struct Head {
    pub(super) model: String,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) own_id: String,
    request_id: u128,
}

impl Head {
    /// An id for the `n`th call of choice `index`.
    pub(super) fn call_id(&self, index: u32, n: u32) -> String {
        format!("call_{:032x}_{index}_{n}", self.request_id)
    }
}

/// What the visible text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Text.
    #[default]
    Plain,
    /// One of several words, with space around it.
    Choice,
    /// A JSON string, which stands for what is in it.
    Quoted,
}

impl Mode {
    /// The whole visible text as the client wants it.
    pub(super) fn unwrapped(self, text: Cow<'_, str>) -> Cow<'_, str> {
        match self {
            Self::Plain => text,
            Self::Choice => Cow::Owned(text.trim().to_owned()),
            Self::Quoted => Cow::Owned(unquoted(&text)),
        }
    }
}

/// What is in a JSON string, which may have been cut; other text as it is.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else {
        return text.to_owned();
    };
    let whole = serde_json::from_str(text);
    let cut = || serde_json::from_str(&format!("{text}\""));
    let plain = || inner.strip_suffix('"').unwrap_or(inner).to_owned();
    whole.or_else(|_| cut()).unwrap_or_else(|_| plain())
}

impl ChatReply {
    /// A reply that is still to come.
    pub(crate) fn new(binding: &Binding<'_>) -> Self {
        Self {
            head: Head {
                model: binding.model.to_owned(),
                created: binding.now,
                own_id: format!("chatcmpl-{:032x}", binding.request_id),
                request_id: binding.request_id,
            },
            mode: Mode::default(),
            stream: Stream::default(),
        }
    }

    /// Notes what the request asks for.
    pub(crate) fn expect(&mut self, req: &ChatRequest<'_>) {
        let regex = req.guided_regex.as_deref().unwrap_or_default();
        self.mode = match (&req.guided_choice, regex) {
            (Some(_), _) => Mode::Choice,
            (None, "") => Mode::Plain,
            (None, _) => Mode::Quoted,
        };
    }

    /// A whole reply.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when it cannot be read, [`Error::UpstreamStream`] for an
    /// error in place of a reply.
    pub(crate) fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let reply: GenerateReply<'_> = serde_json::from_slice(body).map_err(|error| {
            Error::UpstreamProtocol(format!("the reply cannot be read: {}", place(&error)))
        })?;
        if let Some(raw) = reply.error {
            return Err(stream_error(raw));
        }
        let model = given(reply.model_version.as_ref()).unwrap_or(&self.head.model);
        out.response_model(model);
        let usage = reply.usage_metadata.map(tokens);
        out.usage(&usage.unwrap_or_default());
        let said = said_by(&reply, |index, candidate| {
            Said::of(&self.head, candidate, index, 0)
        });
        let choices = said.iter().map(|said| said.choice(self.mode));
        let mut choices: Vec<Choice<'_>> = choices.collect();
        if choices.is_empty() {
            choices.extend(refusal(reply.prompt_feedback.as_ref()));
        }
        choices.sort_by_key(|choice| choice.index);
        out.completion(&ChatResponse {
            id: given(reply.response_id.as_ref()).unwrap_or(&self.head.own_id),
            object: "chat.completion",
            created: created(reply.create_time.as_ref()).unwrap_or(self.head.created),
            model,
            service_tier: None,
            choices,
            usage: usage.as_ref().and_then(client_usage),
        })
    }

    /// One event of a stream.
    ///
    /// # Errors
    /// [`Error::UpstreamStream`] for an error that the provider reports.
    pub(crate) fn event(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<()> {
        self.stream.advance(&self.head, self.mode, event, out)
    }

    /// The end of a stream.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] when the message is not complete.
    pub(crate) fn end(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.stream.end(&self.head, out)
    }
}

pub(super) fn given<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(AsRef::as_ref)
        .filter(|text: &&str| !text.is_empty())
}

/// Unix seconds of an RFC 3339 time.
pub(super) fn created(time: Option<&Text<'_>>) -> Option<u64> {
    let time = DateTime::from_str(time?, Format::DateTimeWithOffset).ok()?;
    u64::try_from(time.secs()).ok()
}

/// Whether the prompt was not let in.
pub(super) fn is_blocked(feedback: Option<&PromptFeedback<'_>>) -> bool {
    feedback.is_some_and(|feedback| given(feedback.block_reason.as_ref()).is_some())
}

/// A prompt that was not let in has an answer all the same.
fn refusal<'a>(feedback: Option<&PromptFeedback<'a>>) -> Option<Choice<'a>> {
    let feedback = feedback.filter(|feedback| is_blocked(Some(feedback)))?;
    Some(Choice {
        index: 0,
        message: ReplyMessage {
            role: "assistant",
            content: Some(Cow::Borrowed("")),
            safety_ratings: feedback.safety_ratings.and_then(pruned),
            ..ReplyMessage::default()
        },
        logprobs: None,
        finish_reason: "content_filter",
    })
}

// --- candidates ---

/// What the candidates of a reply say, each with the index of its choice. A candidate has its
/// own index, which Google leaves out where it is zero, or else its position.
pub(super) fn said_by<'a, T>(
    reply: &'a GenerateReply<'a>,
    mut say: impl FnMut(u32, &'a Candidate<'a>) -> T,
) -> Vec<T> {
    let candidates = reply.candidates.as_deref().unwrap_or_default();
    let own = candidates.iter().flatten().filter_map(|one| one.index);
    let mut taken: Vec<u32> = own.collect();
    let mut all = Vec::with_capacity(candidates.len());
    for (at, candidate) in (0_u32..).zip(candidates) {
        let Some(candidate) = candidate else {
            continue;
        };
        let index = candidate.index.unwrap_or_else(|| {
            let mut free = std::iter::once(at).chain(0..);
            let index = free.find(|index| !taken.contains(index)).unwrap_or(at);
            taken.push(index);
            index
        });
        all.push(say(index, candidate));
    }
    all
}

/// What one candidate says.
pub(super) struct Said<'a> {
    pub(super) candidate: &'a Candidate<'a>,
    pub(super) index: u32,
    pub(super) text: Cow<'a, str>,
    pub(super) thought: Cow<'a, str>,
    pub(super) calls: Vec<(String, &'a ReplyCall<'a>)>,
    text_signature: Option<&'a str>,
    call_signature: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// Reads a candidate, of which `calls` calls are known already.
    pub(super) fn of(head: &Head, candidate: &'a Candidate<'a>, index: u32, calls: u32) -> Self {
        let mut said = Self {
            candidate,
            index,
            text: Cow::Borrowed(""),
            thought: Cow::Borrowed(""),
            calls: Vec::new(),
            text_signature: None,
            call_signature: None,
        };
        let content = candidate.content.as_ref();
        let parts = content.and_then(|content| content.parts.as_deref());
        let mut next = calls;
        for part in parts.unwrap_or_default().iter().flatten() {
            said.add(part, head, &mut next);
        }
        said
    }

    fn add(&mut self, part: &'a ReplyPart<'a>, head: &Head, next: &mut u32) {
        let signature = given(part.thought_signature.as_ref());
        if let Some(call) = &part.function_call {
            let id = given(call.id.as_ref()).map(str::to_owned);
            let id = id.unwrap_or_else(|| head.call_id(self.index, *next));
            *next += 1;
            self.calls.push((id, call));
            self.call_signature = self.call_signature.or(signature);
            return;
        }
        let text = part.text.as_deref().unwrap_or_default();
        if part.thought == Some(true) {
            append(&mut self.thought, text);
        } else {
            append(&mut self.text, text);
            self.text_signature = signature.or(self.text_signature);
        }
    }

    fn choice(&self, mode: Mode) -> Choice<'_> {
        let candidate = self.candidate;
        let safety_ratings = candidate.safety_ratings.and_then(pruned);
        let grounding_metadata = candidate.grounding_metadata.and_then(pruned);
        let speaks =
            candidate.content.is_some() || safety_ratings.is_some() || grounding_metadata.is_some();
        let text = mode.unwrapped(Cow::Borrowed(&self.text));
        let filled = |text: Cow<'a, str>| Some(text).filter(|text| !text.is_empty());
        Choice {
            index: self.index,
            message: ReplyMessage {
                role: if speaks { "assistant" } else { "" },
                content: Some(text).filter(|text| !text.is_empty()),
                tool_calls: self.tool_calls(None),
                reasoning_content: filled(self.thought.clone()),
                thinking_blocks: self.thinking_block(None).into_iter().collect(),
                safety_ratings,
                grounding_metadata,
            },
            logprobs: self.logprobs(),
            finish_reason: finish_reason(candidate.finish_reason.as_deref(), self.calls.is_empty())
                .unwrap_or_default(),
        }
    }

    /// The calls; `first` is the index of the first one in a stream.
    pub(super) fn tool_calls(&self, first: Option<u32>) -> Vec<ReplyToolCall<'_>> {
        let numbered = (0_u32..).zip(&self.calls);
        let calls = numbered.map(|(at, (id, call))| ReplyToolCall {
            index: first.map(|first| first + at),
            id: Some(id),
            function: ReplyFunction {
                arguments: call.args.map_or("{}", |args| args.get()),
                name: Some(call.name.as_deref().unwrap_or_default()),
            },
            r#type: Some("function"),
        });
        calls.collect()
    }

    /// The signature that clients must send back: a call's, or else the text's. `index` is that
    /// of the block in a stream.
    pub(super) fn thinking_block(&self, index: Option<u32>) -> Option<ReplyThinkingBlock<'_>> {
        let thought = Some(self.thought.as_ref()).filter(|text| !text.is_empty());
        let (thinking, signature) = match (self.text_signature, self.call_signature) {
            (None, None) => return None,
            (None, Some(call)) => (None, call),
            (Some(text), None) => (thought, text),
            (Some(_), Some(call)) => (thought, call),
        };
        Some(ReplyThinkingBlock {
            index,
            r#type: "thinking",
            thinking: thinking.map(Cow::Borrowed),
            signature: Some(Cow::Borrowed(signature)),
            ..ReplyThinkingBlock::default()
        })
    }

    pub(super) fn logprobs(&self) -> Option<Logprobs<'_>> {
        self.candidate.logprobs_result.as_ref().and_then(logprobs)
    }
}

fn append<'a>(to: &mut Cow<'a, str>, text: &'a str) {
    if to.is_empty() {
        *to = Cow::Borrowed(text);
    } else {
        to.to_mut().push_str(text);
    }
}

fn logprobs<'a>(result: &'a LogprobsResult<'a>) -> Option<Logprobs<'a>> {
    let chosen = result.chosen_candidates.as_deref().unwrap_or_default();
    let tops = result.top_candidates.as_deref().unwrap_or_default();
    let top = |at: usize| {
        let all = tops.get(at)?.as_ref()?.candidates.as_deref()?;
        let all = all.iter().map(|token: &ScoredToken<'_>| TopLogprob {
            token: &token.token,
            logprob: f64::from(token.log_probability),
        });
        Some(all.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    };
    let content = chosen.iter().enumerate().map(|(at, token)| TokenLogprob {
        token: &token.token,
        logprob: f64::from(token.log_probability),
        top_logprobs: top(at),
    });
    let content: Vec<_> = content.collect();
    (!content.is_empty()).then_some(Logprobs { content })
}

/// OpenAI's word for a finish reason, Gemini's own in OpenAI's writing where it has none.
/// `None` while there is no reason.
pub(super) fn finish_reason(reason: Option<&str>, no_calls: bool) -> Option<&'static str> {
    Some(match reason? {
        "" => return None,
        "STOP" if no_calls => "stop",
        "STOP" => "tool_calls",
        "MAX_TOKENS" => "length",
        "SAFETY"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT" => "content_filter",
        "RECITATION" | "IMAGE_RECITATION" => "recitation",
        "MALFORMED_FUNCTION_CALL" => "malformed_function_call",
        "UNEXPECTED_TOOL_CALL" => "unexpected_tool_call",
        "LANGUAGE" => "language",
        "NO_IMAGE" => "no_image",
        _ => "error",
    })
}

/// JSON without the members that say nothing: null, false, zero, empty. `None` when nothing
/// is left.
pub(super) fn pruned(raw: Raw<'_>) -> Option<Value> {
    fn says_nothing(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(all) => all.is_empty(),
            Value::Bool(true) | Value::Object(_) => false,
        }
    }
    fn prune(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|_, value| !says_nothing(value));
                members.values_mut().for_each(prune);
            }
            Value::Array(all) => all.iter_mut().for_each(prune),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(raw.get()).ok()?;
    prune(&mut value);
    (!says_nothing(&value)).then_some(value)
}
