//! Chat replies as responses.

use serde_json::value::RawValue;

use super::events::{self, numbered};
use super::{Echo, Thought};
use crate::endpoint::ClientApi;
use crate::error::{Error, Result};
use crate::translate::{Binding, Outbox};
use crate::wire::openai::{
    ChatChunk, ChatResponse, ChatUsage, Delta, Raw, ReplyMessage, ReplyThinkingBlock, ReplyToolCall,
};
use crate::wire::responses::{
    Event, IncompleteDetails, InputTokensDetails, OutputItem, OutputText, OutputTokensDetails,
    Response, ResponseUsage, SummaryText,
};

const IN_PROGRESS: &str = "in_progress";
const COMPLETED: &str = "completed";
const INCOMPLETE: &str = "incomplete";
/// Clients read arguments as JSON, also of a function that has none.
const NO_ARGUMENTS: &str = "{}";

/// The reply side of one attempt.
pub(super) struct Reply {
    pub(super) echo: Echo,
    request_id: u128,
    id: String,
    model: String,
    created: u64,
    output: Vec<OutputItem>,
    usage: Option<ResponseUsage>,
    /// Why the model stopped, in chat's words.
    finish_reason: Option<&'static str>,
    started: bool,
    /// Events so far.
    sequence: u64,
    /// The item that takes texts now.
    open: Option<Open>,
    /// Item of each tool call, by the index that chat gives it.
    tools: Vec<(u32, usize)>,
}

/// An item that texts are added to, by its place in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Message(usize),
    Reasoning(usize),
}

/// Whatever the client must be told.
#[derive(Clone, Copy)]
enum Stage {
    Created,
    InProgress,
    Over,
}

impl Reply {
    pub(super) fn new(binding: &Binding<'_>) -> Self {
        Self {
            echo: Echo::default(),
            request_id: binding.request_id,
            id: format!("resp_{:032x}", binding.request_id),
            model: binding.model.to_owned(),
            created: binding.now,
            output: Vec::new(),
            usage: None,
            finish_reason: None,
            started: false,
            sequence: 0,
            open: None,
            tools: Vec::new(),
        }
    }

    /// A whole completion; its first choice counts.
    pub(super) fn completion(
        &mut self,
        reply: &ChatResponse<'_>,
        out: &mut Outbox<'_>,
    ) -> Result<()> {
        reply.model.clone_into(&mut self.model);
        self.created = reply.created;
        self.usage = reply.usage.as_ref().map(usage);
        if let Some(choice) = reply.choices.first() {
            self.finish_reason = Some(choice.finish_reason);
            self.whole(&choice.message);
        }
        out.json(&self.response(self.status(), reply.service_tier))
    }

    fn whole(&mut self, message: &ReplyMessage<'_>) {
        let text = message.reasoning_content.as_deref().unwrap_or_default();
        let mut told = text.is_empty();
        for block in &message.thinking_blocks {
            let shown = block.thinking.as_deref().unwrap_or_default();
            // A signature without its text belongs to the text beside it.
            let shown = if shown.is_empty() && !told {
                text
            } else {
                shown
            };
            told = true;
            self.reasoning_item(shown, &thought(block));
        }
        if !told {
            self.reasoning_item(text, &Thought::default());
        }
        let said = message.content.as_deref().unwrap_or_default();
        if !said.is_empty() || message.tool_calls.is_empty() {
            let id = self.item_id("msg");
            self.output.push(OutputItem::Message {
                id,
                status: COMPLETED,
                role: "assistant",
                content: vec![OutputText::new(said)],
            });
        }
        for call in &message.tool_calls {
            let mut item = self.call_item(call, COMPLETED);
            if let OutputItem::FunctionCall { arguments, .. } = &mut item
                && arguments.is_empty()
            {
                arguments.push_str(NO_ARGUMENTS);
            }
            self.output.push(item);
        }
    }

    fn reasoning_item(&mut self, text: &str, thought: &Thought) {
        let id = self.item_id("rs");
        let sealed = thought.sealed().filter(|_| self.echo.seals);
        self.output.push(OutputItem::Reasoning {
            id,
            summary: if text.is_empty() {
                Vec::new()
            } else {
                vec![SummaryText {
                    text: text.to_owned(),
                }]
            },
            encrypted_content: sealed,
        });
    }

    fn call_item(&self, call: &ReplyToolCall<'_>, status: &'static str) -> OutputItem {
        OutputItem::FunctionCall {
            id: self.item_id("fc"),
            status,
            call_id: call.id.unwrap_or_default().to_owned(),
            name: call.function.name.unwrap_or_default().to_owned(),
            arguments: call.function.arguments.to_owned(),
        }
    }

    /// An id for the next item.
    fn item_id(&self, kind: &str) -> String {
        format!("{kind}_{:032x}_{}", self.request_id, self.output.len())
    }

    fn status(&self) -> &'static str {
        match self.finish_reason {
            Some("length" | "content_filter") => INCOMPLETE,
            _ => COMPLETED,
        }
    }

    fn response<'a>(&'a self, status: &'static str, tier: Option<&'a str>) -> Response<'a> {
        let echo = &self.echo;
        let reason = match self.finish_reason {
            Some("length") => Some("max_output_tokens"),
            Some("content_filter") => Some("content_filter"),
            _ => None,
        };
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created,
            status,
            background: false,
            error: None,
            incomplete_details: reason
                .filter(|_| status == INCOMPLETE)
                .map(|reason| IncompleteDetails { reason }),
            instructions: echo.instructions.as_deref(),
            max_output_tokens: echo.max_output_tokens,
            model: &self.model,
            output: if status == IN_PROGRESS {
                &[]
            } else {
                &self.output
            },
            parallel_tool_calls: echo.parallel_tool_calls.unwrap_or(true),
            previous_response_id: None,
            reasoning: echo.reasoning.as_deref(),
            service_tier: tier,
            store: false,
            temperature: echo.temperature.unwrap_or(1.0),
            text: echo.text.as_deref(),
            tool_choice: raw(echo.tool_choice.as_deref(), "\"auto\""),
            tools: raw(echo.tools.as_deref(), "[]"),
            top_p: echo.top_p.unwrap_or(1.0),
            truncation: "disabled",
            usage: self.usage.filter(|_| status != IN_PROGRESS),
            user: echo.user.as_deref(),
            metadata: raw(echo.metadata.as_deref(), "{}"),
        }
    }

    // --- stream ---

    /// One chunk of a stream.
    pub(super) fn chunk(&mut self, chunk: &ChatChunk<'_>, out: &mut Outbox<'_>) -> Result<()> {
        if let Some(counted) = &chunk.usage {
            self.usage = Some(usage(counted));
        }
        let Some(choice) = chunk.choices.iter().find(|choice| choice.index == 0) else {
            return Ok(());
        };
        if !self.started {
            chunk.model.clone_into(&mut self.model);
            self.created = chunk.created;
        }
        self.start(out)?;
        self.delta(&choice.delta, out)?;
        if choice.finish_reason.is_some() {
            self.finish_reason = choice.finish_reason;
        }
        Ok(())
    }

    /// The good end of a stream.
    pub(super) fn done(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        self.start(out)?;
        self.close_texts(out)?;
        for (_, index) in std::mem::take(&mut self.tools) {
            self.close_call(index, out)?;
        }
        self.tell(Stage::Over, out)
    }

    /// An error in the place of an end.
    pub(super) fn error(&mut self, error: &Error, api: ClientApi, out: &mut Vec<u8>) {
        events::error(error, api, self.next(), out);
    }

    fn start(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        self.tell(Stage::Created, out)?;
        self.tell(Stage::InProgress, out)
    }

    fn tell(&mut self, stage: Stage, out: &mut Outbox<'_>) -> Result<()> {
        let number = self.next();
        let event = match (stage, self.status()) {
            (Stage::Created, _) => Event::Created {
                response: self.response(IN_PROGRESS, None),
            },
            (Stage::InProgress, _) => Event::InProgress {
                response: self.response(IN_PROGRESS, None),
            },
            (Stage::Over, INCOMPLETE) => Event::Incomplete {
                response: self.response(INCOMPLETE, None),
            },
            (Stage::Over, status) => Event::Completed {
                response: self.response(status, None),
            },
        };
        events::write(&event, number, out)
    }

    fn next(&mut self) -> u64 {
        let number = self.sequence;
        self.sequence += 1;
        number
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let reasoning = delta.reasoning_content.unwrap_or_default();
        self.add_reasoning(reasoning, out)?;
        for block in &delta.thinking_blocks {
            let text = block.thinking.as_deref().unwrap_or_default();
            if text != reasoning {
                self.add_reasoning(text, out)?;
            }
            self.seal(&thought(block), out)?;
        }
        self.add_text(delta.content.unwrap_or_default(), out)?;
        for call in &delta.tool_calls {
            self.add_call(call, out)?;
        }
        Ok(())
    }

    fn add_text(&mut self, delta: &str, out: &mut Outbox<'_>) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let index = match self.open {
            Some(Open::Message(index)) => index,
            _ => self.open_message(out)?,
        };
        if let Some(OutputItem::Message { id, content, .. }) = self.output.get_mut(index) {
            if let Some(part) = content.first_mut() {
                part.text.push_str(delta);
            }
            let event = Event::TextDelta {
                item_id: id,
                output_index: index,
                content_index: 0,
                delta,
                logprobs: [],
            };
            numbered(&event, &mut self.sequence, out)?;
        }
        Ok(())
    }

    fn open_message(&mut self, out: &mut Outbox<'_>) -> Result<usize> {
        self.close_texts(out)?;
        let id = self.item_id("msg");
        let index = self.output.len();
        let item = OutputItem::Message {
            id: id.clone(),
            status: IN_PROGRESS,
            role: "assistant",
            content: Vec::new(),
        };
        self.added(item, out)?;
        let part = OutputText::new("");
        let event = Event::PartAdded {
            item_id: &id,
            output_index: index,
            content_index: 0,
            part: &part,
        };
        numbered(&event, &mut self.sequence, out)?;
        if let Some(OutputItem::Message { content, .. }) = self.output.get_mut(index) {
            content.push(part);
        }
        self.open = Some(Open::Message(index));
        Ok(index)
    }

    /// Adds an item to the output and says so.
    fn added(&mut self, item: OutputItem, out: &mut Outbox<'_>) -> Result<()> {
        let event = Event::ItemAdded {
            output_index: self.output.len(),
            item: &item,
        };
        numbered(&event, &mut self.sequence, out)?;
        self.output.push(item);
        Ok(())
    }

    fn add_reasoning(&mut self, delta: &str, out: &mut Outbox<'_>) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let index = match self.open {
            Some(Open::Reasoning(index)) => index,
            _ => self.open_reasoning(out)?,
        };
        let first = matches!(
            self.output.get(index),
            Some(OutputItem::Reasoning { summary, .. }) if summary.is_empty()
        );
        if let Some(OutputItem::Reasoning { id, summary, .. }) = self.output.get_mut(index) {
            if first {
                summary.push(SummaryText {
                    text: String::new(),
                });
                let event = Event::SummaryPartAdded {
                    item_id: id,
                    output_index: index,
                    summary_index: 0,
                    part: &SummaryText {
                        text: String::new(),
                    },
                };
                numbered(&event, &mut self.sequence, out)?;
            }
            if let Some(part) = summary.first_mut() {
                part.text.push_str(delta);
            }
            let event = Event::SummaryDelta {
                item_id: id,
                output_index: index,
                summary_index: 0,
                delta,
            };
            numbered(&event, &mut self.sequence, out)?;
        }
        Ok(())
    }

    fn open_reasoning(&mut self, out: &mut Outbox<'_>) -> Result<usize> {
        self.close_texts(out)?;
        let index = self.output.len();
        let item = OutputItem::Reasoning {
            id: self.item_id("rs"),
            summary: Vec::new(),
            encrypted_content: None,
        };
        self.added(item, out)?;
        self.open = Some(Open::Reasoning(index));
        Ok(index)
    }

    /// What the provider needs back ends a piece of reasoning.
    fn seal(&mut self, thought: &Thought, out: &mut Outbox<'_>) -> Result<()> {
        let Some(sealed) = thought.sealed() else {
            return Ok(());
        };
        let index = match self.open {
            Some(Open::Reasoning(index)) => index,
            _ => self.open_reasoning(out)?,
        };
        if let Some(OutputItem::Reasoning {
            encrypted_content, ..
        }) = self.output.get_mut(index)
        {
            *encrypted_content = Some(sealed).filter(|_| self.echo.seals);
        }
        self.close_texts(out)
    }

    fn add_call(&mut self, call: &ReplyToolCall<'_>, out: &mut Outbox<'_>) -> Result<()> {
        let at = call.index.unwrap_or(0);
        let known = self.tools.iter().find(|(known, _)| *known == at);
        let index = if let Some((_, index)) = known {
            *index
        } else {
            self.close_texts(out)?;
            let index = self.output.len();
            let mut item = self.call_item(call, IN_PROGRESS);
            if let OutputItem::FunctionCall { arguments, .. } = &mut item {
                arguments.clear();
            }
            self.added(item, out)?;
            self.tools.push((at, index));
            index
        };
        let delta = call.function.arguments;
        if delta.is_empty() {
            return Ok(());
        }
        if let Some(OutputItem::FunctionCall { id, arguments, .. }) = self.output.get_mut(index) {
            arguments.push_str(delta);
            let event = Event::ArgumentsDelta {
                item_id: id,
                output_index: index,
                delta,
            };
            numbered(&event, &mut self.sequence, out)?;
        }
        Ok(())
    }

    /// Ends the item that takes texts, if there is one.
    fn close_texts(&mut self, out: &mut Outbox<'_>) -> Result<()> {
        let index = match self.open.take() {
            None => return Ok(()),
            Some(Open::Message(index) | Open::Reasoning(index)) => index,
        };
        let Some(item) = self.output.get_mut(index) else {
            return Ok(());
        };
        match item {
            OutputItem::Message {
                id,
                content,
                status,
                ..
            } => {
                *status = COMPLETED;
                if let Some(found) = content.first() {
                    let event = Event::TextDone {
                        item_id: id,
                        output_index: index,
                        content_index: 0,
                        text: &found.text,
                        logprobs: [],
                    };
                    numbered(&event, &mut self.sequence, out)?;
                    let event = Event::PartDone {
                        item_id: id,
                        output_index: index,
                        content_index: 0,
                        part: found,
                    };
                    numbered(&event, &mut self.sequence, out)?;
                }
            }
            OutputItem::Reasoning { id, summary, .. } => {
                if let Some(found) = summary.first() {
                    let event = Event::SummaryDone {
                        item_id: id,
                        output_index: index,
                        summary_index: 0,
                        text: &found.text,
                    };
                    numbered(&event, &mut self.sequence, out)?;
                    let event = Event::SummaryPartDone {
                        item_id: id,
                        output_index: index,
                        summary_index: 0,
                        part: found,
                    };
                    numbered(&event, &mut self.sequence, out)?;
                }
            }
            OutputItem::FunctionCall { .. } => {}
        }
        let event = Event::ItemDone {
            output_index: index,
            item,
        };
        numbered(&event, &mut self.sequence, out)
    }

    fn close_call(&mut self, index: usize, out: &mut Outbox<'_>) -> Result<()> {
        let Some(item) = self.output.get_mut(index) else {
            return Ok(());
        };
        if let OutputItem::FunctionCall {
            id,
            status,
            name,
            arguments,
            ..
        } = item
        {
            *status = COMPLETED;
            if arguments.is_empty() {
                arguments.push_str(NO_ARGUMENTS);
                let event = Event::ArgumentsDelta {
                    item_id: id,
                    output_index: index,
                    delta: NO_ARGUMENTS,
                };
                numbered(&event, &mut self.sequence, out)?;
            }
            let event = Event::ArgumentsDone {
                item_id: id,
                output_index: index,
                name,
                arguments,
            };
            numbered(&event, &mut self.sequence, out)?;
        }
        let event = Event::ItemDone {
            output_index: index,
            item,
        };
        numbered(&event, &mut self.sequence, out)
    }
}

fn raw<'a>(given: Option<&'a RawValue>, fallback: &'static str) -> Raw<'a> {
    given.unwrap_or_else(|| serde_json::from_str(fallback).unwrap_or(RawValue::NULL))
}

fn thought(block: &ReplyThinkingBlock<'_>) -> Thought {
    Thought {
        signature: block.signature.as_deref().map(str::to_owned),
        redacted: block.data.as_deref().map(str::to_owned),
    }
}

fn usage(usage: &ChatUsage) -> ResponseUsage {
    let input = usage.prompt_tokens_details.unwrap_or_default();
    let output = usage.completion_tokens_details.unwrap_or_default();
    ResponseUsage {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: InputTokensDetails {
            cached_tokens: input.cached_tokens.unwrap_or(0),
            cache_write_tokens: input.cache_creation_input_tokens.unwrap_or(0),
            cache_creation_input_tokens: input.cache_creation_input_tokens,
        },
        output_tokens: usage.completion_tokens,
        output_tokens_details: OutputTokensDetails {
            reasoning_tokens: output.reasoning_tokens.unwrap_or(0),
        },
        total_tokens: usage.total_tokens,
    }
}
