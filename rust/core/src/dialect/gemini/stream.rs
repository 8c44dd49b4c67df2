//! Gemini's stream events as OpenAI chunks.

use std::borrow::Cow;

use super::error::stream_error;
use super::reply::{Head, Mode, Said, created, finish_reason, given, pruned, report_usage};
use crate::error::{Error, Result};
use crate::framing::Event;
use crate::translate::Outbox;
use crate::wire::gemini::GenerateReply;
use crate::wire::openai::{ChatChunk, ChatUsage, ChunkChoice, Delta};

/// State of one stream.
#[derive(Default)]
pub(super) struct Stream {
    /// From the first event that tells them, then the same for all chunks.
    id: String,
    created: Option<u64>,
    choices: Vec<Progress>,
    usage: Option<ChatUsage>,
    finished: bool,
}

/// How far one choice is.
#[derive(Default)]
struct Progress {
    index: u32,
    /// Calls so far.
    calls: u32,
    /// Text that means something only as a whole.
    held: String,
}

impl Stream {
    pub(super) fn advance(
        &mut self,
        head: &Head,
        mode: Mode,
        event: Event<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        // One event that cannot be read says nothing; a stream that lost its end is found out.
        let Ok(reply) = serde_json::from_slice::<GenerateReply<'_>>(event.data) else {
            return Ok(());
        };
        if let Some(raw) = reply.error {
            return Err(stream_error(raw));
        }
        self.name(head, &reply);
        // Every event may repeat the totals so far: the client gets the last ones, once.
        if let Some(usage) = reply.usage_metadata.and_then(|raw| report_usage(raw, out)) {
            self.usage = Some(usage);
        }
        let candidates = reply.candidates.as_deref().unwrap_or_default();
        let mut said = Vec::new();
        for (at, candidate) in (0_u32..).zip(candidates) {
            let Some(candidate) = candidate else {
                continue;
            };
            let progress = self.progress(candidate.index.unwrap_or(at));
            let before = progress.calls;
            let mut one = Said::of(head, candidate, at, before);
            progress.calls += u32::try_from(one.calls.len()).unwrap_or(0);
            let reason = finish_reason(candidate.finish_reason.as_deref(), progress.calls == 0);
            one.text = progress.visible(mode, std::mem::take(&mut one.text), reason.is_some());
            self.finished |= reason.is_some();
            said.push((one, before, reason));
        }
        let blocked = reply.prompt_feedback.as_ref();
        let blocked = blocked.is_some_and(|feedback| feedback.block_reason.is_some());
        if said.is_empty() && !blocked {
            return Ok(());
        }
        let mut choices: Vec<ChunkChoice<'_>> = said
            .iter()
            .map(|(one, before, reason)| choice(one, *before, *reason))
            .collect();
        if blocked && choices.is_empty() {
            self.finished = true;
            choices.push(refusal());
        }
        out.chunk(&self.chunk(head, choices))
    }

    /// The end of the bytes.
    pub(super) fn end(&mut self, head: &Head, out: &mut Outbox<'_>) -> Result<()> {
        if !self.finished {
            return Err(Error::UpstreamProtocol(
                "the stream ended before the message did".into(),
            ));
        }
        if let Some(usage) = self.usage {
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
    /// The text that the client can have now.
    fn visible<'a>(&mut self, mode: Mode, text: Cow<'a, str>, finished: bool) -> Cow<'a, str> {
        if mode == Mode::Plain {
            return text;
        }
        self.held.push_str(&text);
        if !finished {
            return Cow::Borrowed("");
        }
        let whole = std::mem::take(&mut self.held);
        Cow::Owned(mode.unwrapped(Cow::Owned(whole)).into_owned())
    }
}

fn choice<'a>(
    said: &'a Said<'a>,
    before: u32,
    finish_reason: Option<&'static str>,
) -> ChunkChoice<'a> {
    let filled = |text: &'a str| Some(text).filter(|text| !text.is_empty());
    let candidate = said.candidate;
    ChunkChoice {
        index: said.index,
        delta: Delta {
            role: candidate.content.is_some().then_some("assistant"),
            content: filled(&said.text),
            tool_calls: said.tool_calls(Some(before)),
            reasoning_content: filled(&said.thought),
            thinking_blocks: said.thinking_block().into_iter().collect(),
            safety_ratings: candidate.safety_ratings.and_then(pruned),
            grounding_metadata: candidate.grounding_metadata.and_then(pruned),
        },
        logprobs: said.logprobs(),
        finish_reason,
    }
}

/// A prompt that was not let in.
fn refusal<'a>() -> ChunkChoice<'a> {
    ChunkChoice {
        index: 0,
        delta: Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        },
        logprobs: None,
        finish_reason: Some("content_filter"),
    }
}
