//! Messages: OpenAI's roles to Claude's turns.

use serde_json::value::RawValue;

use super::parts::{self, Place};
use super::request::is_object;
use crate::error::{Error, Result};
use crate::wire::anthropic::{Block, CacheControl, Message, Raw, Text};
use crate::wire::openai::{self, Content, Part, Role, ThinkingBlock, ToolCall};

/// Turns, and the system blocks that stand before them.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

/// Converts the messages. Empty texts and messages without a block are left out: the provider
/// refuses them.
pub(super) fn conversation<'a>(messages: &'a [openai::Message<'a>]) -> Result<Conversation<'a>> {
    let mut all = Conversation::default();
    let mut results: Vec<Block<'a>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.role == Role::Tool {
            // The results of parallel calls belong into one turn.
            results.push(tool_result(message, index)?);
            continue;
        }
        all.push("user", std::mem::take(&mut results));
        match message.role {
            Role::System | Role::Developer => all.system.extend(system_block(message, index)?),
            Role::User => all.push("user", user_blocks(message, index)?),
            Role::Assistant => all.push("assistant", assistant_blocks(message, index)?),
            Role::Tool => {}
        }
    }
    all.push("user", results);
    Ok(all)
}

impl<'a> Conversation<'a> {
    fn push(&mut self, role: &'static str, content: Vec<Block<'a>>) {
        if !content.is_empty() {
            self.messages.push(Message { role, content });
        }
    }
}

// --- system ---

fn system_block<'a>(message: &'a openai::Message<'a>, index: usize) -> Result<Option<Block<'a>>> {
    let (text, cache_control) = match &message.content {
        None => return Ok(None),
        Some(Content::Text(text)) => (Text::from(text.as_ref()), None),
        Some(Content::Parts(parts)) => joined_text(parts, index)?,
    };
    Ok((!text.is_empty()).then_some(Block::Text {
        text,
        cache_control,
    }))
}

/// All texts without a separator; the last cache marker counts for the whole.
fn joined_text<'a>(
    parts: &'a [Part<'a>],
    message: usize,
) -> Result<(Text<'a>, Option<CacheControl<'a>>)> {
    let mut text = Text::default();
    let mut cache = None;
    for (index, part) in parts.iter().enumerate() {
        if !matches!(part.r#type.as_deref(), None | Some("text")) {
            let place = Place {
                message,
                part: index,
            };
            return Err(place.refuse("a system message takes text only"));
        }
        text = concat(text, part.text.as_deref().unwrap_or_default());
        cache = parts::cache(part.cache_control.as_ref()).or(cache);
    }
    Ok((text, cache))
}

fn concat<'a>(head: Text<'a>, tail: &'a str) -> Text<'a> {
    if head.is_empty() {
        Text::from(tail)
    } else if tail.is_empty() {
        head
    } else {
        Text::from(head.into_cow().into_owned() + tail)
    }
}

// --- user and tool ---

fn user_blocks<'a>(message: &'a openai::Message<'a>, index: usize) -> Result<Vec<Block<'a>>> {
    match &message.content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(parts::text(text, None).into_iter().collect()),
        Some(Content::Parts(parts)) => parts::blocks(parts, index),
    }
}

/// One `tool_result`. A cache marker, wherever the client put it, goes to the result itself:
/// one on an inner block as well would use up a second of the four breakpoints.
fn tool_result<'a>(message: &'a openai::Message<'a>, index: usize) -> Result<Block<'a>> {
    let mut cache_control = parts::cache(message.cache_control.as_ref());
    let mut is_error = false;
    let content = match &message.content {
        None => Vec::new(),
        Some(Content::Text(text)) => {
            is_error = reports_error(text);
            parts::text(text, None).into_iter().collect()
        }
        Some(Content::Parts(parts)) => {
            let mut markers = parts.iter().rev().map(|part| part.cache_control.as_ref());
            cache_control = cache_control.or_else(|| markers.find_map(parts::cache));
            parts::unmarked_blocks(parts, index)?
        }
    };
    let tool_use_id = message.tool_call_id.as_deref().ok_or_else(|| {
        Error::Untranslatable(format!("messages[{index}].tool_call_id: required"))
    })?;
    Ok(Block::ToolResult {
        tool_use_id,
        is_error,
        content,
        cache_control,
    })
}

/// A JSON object with an `error` member is what failed tools commonly answer.
fn reports_error(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Failure {
        #[serde(default, rename = "error")]
        has_error: Presence,
    }
    // Serde would read an array as the struct's members in their order.
    text.trim_start().starts_with('{')
        && serde_json::from_str(text).is_ok_and(|failure: Failure| failure.has_error.0)
}

/// True when the member is there, whatever its value.
#[derive(Default)]
struct Presence(bool);

impl<'de> serde::Deserialize<'de> for Presence {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

// --- assistant ---

fn assistant_blocks<'a>(message: &'a openai::Message<'a>, index: usize) -> Result<Vec<Block<'a>>> {
    let parts = match &message.content {
        Some(Content::Parts(parts)) => parts.as_slice(),
        None | Some(Content::Text(_)) => &[],
    };
    let mut blocks = Vec::new();
    if !parts.iter().any(is_thinking) {
        let replayed = message.thinking_blocks.as_deref().unwrap_or_default();
        blocks.extend(replayed.iter().filter_map(thinking_block));
    }
    if let Some(Content::Text(text)) = &message.content {
        blocks.extend(parts::text(text, None));
    }
    for (at, part) in parts.iter().enumerate() {
        let place = Place {
            message: index,
            part: at,
        };
        blocks.extend(assistant_part(part, place)?);
    }
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    for (at, call) in calls.iter().enumerate() {
        blocks.push(tool_use(call, index, at)?);
    }
    Ok(blocks)
}

fn is_thinking(part: &Part<'_>) -> bool {
    matches!(
        part.r#type.as_deref(),
        Some("thinking" | "redacted_thinking")
    )
}

/// Thinking as our own replies carry it. Without its signature it cannot be sent back.
fn thinking_block<'a>(block: &'a ThinkingBlock<'a>) -> Option<Block<'a>> {
    match block.r#type.as_deref()? {
        "thinking" => Some(Block::Thinking {
            thinking: block.thinking.as_deref()?,
            signature: block.signature.as_deref()?,
        }),
        "redacted_thinking" => block
            .data
            .as_deref()
            .map(|data| Block::RedactedThinking { data }),
        _ => None,
    }
}

fn assistant_part<'a>(part: &'a Part<'a>, place: Place) -> Result<Option<Block<'a>>> {
    let text = |text: &'a Option<openai::Text<'a>>, cache| {
        text.as_deref().and_then(|text| parts::text(text, cache))
    };
    match part.r#type.as_deref().unwrap_or_default() {
        "text" => Ok(text(&part.text, parts::cache(part.cache_control.as_ref()))),
        "refusal" => Ok(text(&part.refusal, None)),
        "thinking" => {
            Ok(part
                .text
                .as_deref()
                .zip(part.signature.as_deref())
                .map(|(thinking, signature)| Block::Thinking {
                    thinking,
                    signature,
                }))
        }
        "redacted_thinking" => Ok(part
            .redacted_content
            .as_deref()
            .map(|data| Block::RedactedThinking { data })),
        other => Err(place.refuse(&format!("content type not supported: {other}"))),
    }
}

fn tool_use<'a>(call: &'a ToolCall<'a>, message: usize, index: usize) -> Result<Block<'a>> {
    let id = call.id.as_deref().ok_or_else(|| {
        Error::Untranslatable(format!(
            "tool_call at index {index} is missing required field 'id'"
        ))
    })?;
    let place = || format!("messages[{message}].tool_calls[{index}].function");
    let function = call
        .function
        .as_ref()
        .ok_or_else(|| Error::Untranslatable(format!("{}: required", place())))?;
    let input = arguments(&function.arguments).ok_or_else(|| {
        Error::Untranslatable(format!("{}.arguments: a JSON object is expected", place()))
    })?;
    Ok(Block::ToolUse {
        id,
        name: &function.name,
        input,
        cache_control: parts::cache(call.cache_control.as_ref()),
    })
}

/// Arguments as they stand; no arguments are an empty object.
fn arguments(text: &str) -> Option<Raw<'_>> {
    let empty = || serde_json::from_str::<&RawValue>("{}").ok();
    if text.trim().is_empty() {
        return empty();
    }
    let raw: Raw<'_> = serde_json::from_str(text).ok()?;
    match raw.get() {
        "null" => empty(),
        _ => is_object(raw).then_some(raw),
    }
}
