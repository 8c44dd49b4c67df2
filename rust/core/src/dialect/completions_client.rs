//! Clients of legacy completions by way of chat: a [`Frontend`] for every backend that speaks
//! chat.
//!
//! Rejected (422): prompts other than one text, `echo`, `suffix`, `best_of` above 1.
//!
//! Dropped by contract: `logprobs` (chat's form of them is another), `logit_bias`.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::translate::{Binding, ChatSink, Dropped, Frontend, Outbox};
use crate::wire::Text;
use crate::wire::completions::{Completion, CompletionChoice, CompletionsRequest};
use crate::wire::openai::{ChatChunk, ChatRequest, ChatResponse, Content, Message, Role, Stop};

/// `POST /v1/completions` in chat's words.
pub(crate) struct Completions;

impl Frontend for Completions {
    const ENDPOINT: Endpoint = Endpoint::Completions;
    type Request<'a> = CompletionsRequest<'a>;

    fn bind(_binding: &Binding<'_>) -> Self {
        Self
    }

    fn chat<'a>(
        &mut self,
        req: &'a CompletionsRequest<'_>,
        _dropped: &mut Dropped,
    ) -> Result<ChatRequest<'a>> {
        let refused = |why: &str| Err(Error::Untranslatable(why.to_owned()));
        if req.echo == Some(true) {
            return refused("echo: not supported by a chat backend");
        }
        if req.best_of.is_some_and(|best_of| best_of > 1) {
            return refused("best_of: not supported by a chat backend");
        }
        if req.suffix.as_deref().is_some_and(|text| !text.is_empty()) {
            return refused("suffix: not supported by a chat backend");
        }
        let Some(prompt) = prompt(req) else {
            return refused("prompt: a chat backend takes one text, not several and no tokens");
        };
        Ok(ChatRequest {
            messages: Some(vec![user(prompt)]),
            max_completion_tokens: req.max_tokens,
            temperature: req.temperature,
            top_p: req.top_p,
            n: req.n,
            seed: req.seed,
            presence_penalty: req.presence_penalty,
            frequency_penalty: req.frequency_penalty,
            stop: req.stop.as_ref().map(stop),
            user: req.user.as_deref().map(Text::from),
            ..ChatRequest::default()
        })
    }
}

/// One text, alone or in a list.
fn prompt<'a>(req: &'a CompletionsRequest<'_>) -> Option<Text<'a>> {
    let raw = req.prompt?.get();
    if raw.starts_with('[') {
        let [text]: [Text<'_>; 1] = serde_json::from_str(raw).ok()?;
        return Some(text);
    }
    serde_json::from_str(raw).ok()
}

fn user(prompt: Text<'_>) -> Message<'_> {
    Message {
        role: Role::User,
        name: None,
        content: Some(Content::Text(prompt)),
        tool_calls: None,
        tool_call_id: None,
        thinking_blocks: None,
        reasoning_content: None,
        cache_control: None,
    }
}

fn stop<'a>(stop: &'a Stop<'_>) -> Stop<'a> {
    match stop {
        Stop::One(one) => Stop::One((&**one).into()),
        Stop::Many(many) => Stop::Many(many.iter().map(|one| (&**one).into()).collect()),
    }
}

/// OpenAI's ids differ in their beginning.
fn id_of(id: &str) -> String {
    format!("cmpl-{}", id.strip_prefix("chatcmpl-").unwrap_or(id))
}

/// Completions know no tools.
fn finish_reason(reason: &'static str) -> &'static str {
    match reason {
        "tool_calls" => "stop",
        other => other,
    }
}

impl ChatSink for Completions {
    fn completion(&mut self, reply: &ChatResponse<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let choices = reply.choices.iter().map(|choice| CompletionChoice {
            text: choice.message.content.as_deref().unwrap_or_default(),
            index: choice.index,
            logprobs: None,
            finish_reason: Some(finish_reason(choice.finish_reason)),
        });
        out.json(&Completion {
            id: &id_of(reply.id),
            object: "text_completion",
            created: reply.created,
            model: reply.model,
            choices: choices.collect(),
            usage: reply.usage,
        })
    }

    fn chunk(&mut self, chunk: &ChatChunk<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let choices = chunk.choices.iter().map(|choice| CompletionChoice {
            text: choice.delta.content.unwrap_or_default(),
            index: choice.index,
            logprobs: None,
            finish_reason: choice.finish_reason.map(finish_reason),
        });
        // Thinking and calls are nothing that a completion could say.
        let choices: Vec<_> = choices
            .filter(|choice| !choice.text.is_empty() || choice.finish_reason.is_some())
            .collect();
        if choices.is_empty() && chunk.usage.is_none() {
            return Ok(());
        }
        out.sse(&Completion {
            id: &id_of(chunk.id),
            object: "text_completion",
            created: chunk.created,
            model: chunk.model,
            choices,
            usage: chunk.usage,
        })
    }

    fn done(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        out.raw(b"data: [DONE]\n\n");
        Ok(())
    }
}
