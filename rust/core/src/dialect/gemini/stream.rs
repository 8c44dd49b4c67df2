//! Gemini's stream events as OpenAI chunks.

use std::borrow::Cow;

use serde_json::Value;

use super::error::{stream_error, wrapped_error};
use super::reply::{Head, Mode, Said, created, finish_reason, given, is_blocked, pruned, said_by};
use super::usage::{client_usage, tokens};
use crate::error::{Error, Result};
use crate::framing::Event;
use crate::translate::Outbox;
use crate::usage::Usage;
use crate::wire::gemini::{GenerateReply, PromptFeedback};
use crate::wire::openai::{ChatChunk, ChunkChoice, Delta};

/// State of one stream.
#[derive(Default)]
pub(super) struct Stream {
    /// From the first event that tells them, then the same for all chunks.
    id: String,
    created: Option<u64>,
    choices: Vec<Progress>,
    usage: Usage,
}

/// How far one choice is.
#[derive(Default)]
struct Progress {
    index: u32,
    /// The client knows whose words these are: libraries that add up the deltas add up roles.
    introduced: bool,
    /// Calls so far.
    calls: u32,
    /// Blocks of thinking so far: libraries join those of one index.
    blocks: u32,
    /// Text that means something only as a whole.
    held: String,
    /// The last ratings and sources: libraries cannot add up those of several events, and each
    /// event has those of all text so far.
    safety_ratings: Option<Value>,
    grounding_metadata: Option<Value>,
    finished: bool,
}

/// What one event says of one choice.
struct Step<'a> {
    said: Said<'a>,
    /// Calls before this event.
    calls: u32,
    /// Blocks before this event.
    blocks: u32,
    role: Option<&'static str>,
    safety_ratings: Option<Value>,
    grounding_metadata: Option<Value>,
    finish_reason: Option<&'static str>,
}

impl Stream {
    pub(super) fn advance(
        &mut self,
        head: &Head,
        mode: Mode,
        event: Event<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        let Ok(reply) = serde_json::from_slice::<GenerateReply<'_>>(event.data) else {
            // An event that is neither reply nor error says nothing; a stream that lost its end
            // is found out.
            return wrapped_error(event.data).map_or(Ok(()), Err);
        };
        if let Some(raw) = reply.error {
            return Err(stream_error(raw));
        }
        self.name(head, &reply);
        // Every event may repeat the totals so far: the client gets the last ones, once.
        if let Some(usage) = reply.usage_metadata.map(tokens) {
            self.usage.merge(&usage);
            out.usage(&usage);
        }
        let steps = said_by(&reply, |index, candidate| {
            let progress = self.progress(index);
            progress.step(Said::of(head, candidate, index, progress.calls), mode)
        });
        let mut choices: Vec<ChunkChoice<'_>> = steps.iter().map(Step::choice).collect();
        let feedback = reply.prompt_feedback.as_ref();
        if choices.is_empty() && is_blocked(feedback) {
            choices.push(self.progress(0).refusal(feedback));
        }
        if choices.is_empty() {
            return Ok(());
        }
        out.chunk(&self.chunk(head, choices))
    }

    /// The end of the bytes.
    pub(super) fn end(&mut self, head: &Head, out: &mut Outbox<'_>) -> Result<()> {
        let whole = self.choices.iter().all(|choice| choice.finished);
        if self.choices.is_empty() || !whole {
            return Err(Error::UpstreamProtocol(
                "the stream ended before the message did".into(),
            ));
        }
        if let Some(usage) = client_usage(&self.usage) {
            out.chunk(&ChatChunk {
                usage: Some(usage),
                ..self.chunk(head, Vec::new())
            })?;
        }
        out.done()
    }

    fn name(&mut self, head: &Head, reply: &GenerateReply<'_>) {
        if self.id.is_empty() {
            let id = given(reply.response_id.as_ref()).unwrap_or(&head.own_id);
            id.clone_into(&mut self.id);
        }
        self.created = self.created.or(created(reply.create_time.as_ref()));
    }

    fn progress(&mut self, index: u32) -> &mut Progress {
        let known = self.choices.iter().position(|one| one.index == index);
        let at = known.unwrap_or_else(|| {
            self.choices.push(Progress {
                index,
                ..Progress::default()
            });
            self.choices.len() - 1
        });
        // The position was just found or made.
        #[expect(clippy::indexing_slicing, reason = "in range by construction")]
        &mut self.choices[at]
    }

    fn chunk<'a>(&'a self, head: &'a Head, choices: Vec<ChunkChoice<'a>>) -> ChatChunk<'a> {
        ChatChunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created.unwrap_or(head.created),
            model: &head.model,
            service_tier: None,
            choices,
            usage: None,
        }
    }
}

impl Progress {
    fn step<'a>(&mut self, mut said: Said<'a>, mode: Mode) -> Step<'a> {
        let candidate = said.candidate;
        let (calls, blocks) = (self.calls, self.blocks);
        self.blocks += u32::from(said.thinking_block(None).is_some());
        self.calls += u32::try_from(said.calls.len()).unwrap_or(0);
        let reason = finish_reason(candidate.finish_reason.as_deref(), self.calls == 0);
        self.finished |= reason.is_some();
        said.text = self.visible(mode, std::mem::take(&mut said.text));
        let role = candidate.content.as_ref().and_then(|_| self.introduce());
        let ratings = candidate.safety_ratings.and_then(pruned);
        self.safety_ratings = ratings.or(self.safety_ratings.take());
        let sources = candidate.grounding_metadata.and_then(pruned);
        self.grounding_metadata = sources.or(self.grounding_metadata.take());
        let over = self.finished;
        Step {
            safety_ratings: self.safety_ratings.take_if(|_| over),
            grounding_metadata: self.grounding_metadata.take_if(|_| over),
            said,
            calls,
            blocks,
            role,
            finish_reason: reason,
        }
    }

    /// The role, the first time.
    fn introduce(&mut self) -> Option<&'static str> {
        let known = std::mem::replace(&mut self.introduced, true);
        (!known).then_some("assistant")
    }

    /// The end of a choice whose prompt was not let in.
    fn refusal<'a>(&mut self, feedback: Option<&PromptFeedback<'_>>) -> ChunkChoice<'a> {
        self.finished = true;
        let ratings = feedback.and_then(|feedback| feedback.safety_ratings);
        ChunkChoice {
            index: self.index,
            delta: Delta {
                role: self.introduce(),
                content: Some(""),
                safety_ratings: ratings.and_then(pruned),
                ..Delta::default()
            },
            logprobs: None,
            finish_reason: Some("content_filter"),
        }
    }

    /// The text that the client can have now.
    fn visible<'a>(&mut self, mode: Mode, text: Cow<'a, str>) -> Cow<'a, str> {
        if mode == Mode::Plain {
            return text;
        }
        self.held.push_str(&text);
        if !self.finished {
            return Cow::Borrowed("");
        }
        let whole = std::mem::take(&mut self.held);
        Cow::Owned(mode.unwrapped(Cow::Owned(whole)).into_owned())
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Step<'_> {
    fn choice(&self) -> ChunkChoice<'_> {
        let said = &self.said;
        ChunkChoice {
            index: said.index,
            delta: Delta {
                role: self.role,
                content: filled(&said.text),
                tool_calls: said.tool_calls(Some(self.calls)),
                reasoning_content: filled(&said.thought),
                thinking_blocks: said.thinking_block(Some(self.blocks)).into_iter().collect(),
                safety_ratings: self.safety_ratings.clone(),
                grounding_metadata: self.grounding_metadata.clone(),
            },
            logprobs: said.logprobs(),
            finish_reason: self.finish_reason,
        }
    }
}
