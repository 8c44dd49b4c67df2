//! Messages: OpenAI's roles to Claude's turns.

use serde_json::value::RawValue;

use super::parts::{self, Place};
use super::request::is_object;
use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::anthropic::{Block, CacheControl, Message, Raw, Text};
use crate::wire::openai::{self, Content, Part, ReasoningContent, Role, ThinkingBlock, ToolCall};

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
    let (text, marker) = match &message.content {
        None => return Ok(None),
        Some(Content::Text(text)) => (Text::from(text.as_ref()), None),
        Some(Content::Parts(parts)) => joined_text(parts, index)?,
    };
    let cache_control = marker.or(parts::cache(message.cache_control.as_ref()));
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
        if !part.is_text() {
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
    let mut blocks = match &message.content {
        None => Vec::new(),
        Some(Content::Text(text)) => parts::text(text, None).into_iter().collect(),
        Some(Content::Parts(parts)) => parts::blocks(parts, index)?,
    };
    parts::mark(&mut blocks, parts::cache(message.cache_control.as_ref()));
    Ok(blocks)
}

/// One `tool_result`. A cache marker on its last part goes to the result itself: it ends at the
/// same place, and both would use up two of the four breakpoints.
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
            let last = parts.last().and_then(|part| part.cache_control.as_ref());
            cache_control = cache_control.or(parts::cache(last));
            parts::result_blocks(parts, index)?
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
        blocks.extend(replay(message).blocks);
    }
    if let Some(Content::Text(text)) = &message.content {
        blocks.extend(parts::text(text, None));
    }
    for (at, part) in parts.iter().enumerate() {
        let place = Place {
            message: index,
            part: at,
        };
        match assistant_part(part, place)? {
            Some(block) => blocks.push(block),
            // What it marked stands before it.
            None => parts::mark(&mut blocks, parts::cache(part.cache_control.as_ref())),
        }
    }
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    for (at, call) in calls.iter().enumerate() {
        blocks.push(tool_use(call, index, at)?);
    }
    parts::mark(&mut blocks, parts::cache(message.cache_control.as_ref()));
    Ok(blocks)
}

fn is_thinking(part: &Part<'_>) -> bool {
    matches!(
        part.r#type.as_deref(),
        Some("thinking" | "redacted_thinking")
    )
}

/// Notes what [`conversation`] leaves out of the messages.
pub(super) fn note_dropped(messages: &[openai::Message<'_>], dropped: &mut Dropped) {
    for message in messages {
        dropped.note("messages[].name", message.name.is_some());
        let parts = match &message.content {
            Some(Content::Parts(parts)) => parts.as_slice(),
            None | Some(Content::Text(_)) => &[],
        };
        let replayed = replay(message);
        let replaced = parts.iter().any(is_thinking) && message.thinking_blocks.is_some();
        let unsigned = replaced || replayed.unsigned;
        dropped.note("messages[].thinking_blocks", unsigned);
        let told = |block: &Block<'_>| matches!(block, Block::Thinking { .. });
        dropped.note(
            "messages[].reasoning_content",
            message.reasoning_content.is_some() && !replayed.blocks.iter().any(told),
        );
        for part in parts {
            note_part(part, dropped);
        }
    }
}

fn note_part(part: &Part<'_>, dropped: &mut Dropped) {
    let image = part.image_url.as_ref();
    let detail = image.and_then(|image| image.detail.as_deref());
    dropped.note(
        "messages[].content[].image_url.detail",
        detail.is_some_and(|detail| detail != "auto"),
    );
    let unsigned = given(part.signature.as_ref()).is_none() || part.text.is_none();
    dropped.note(
        "messages[].content[].thinking",
        unsigned && part.r#type.as_deref() == Some("thinking"),
    );
}

/// Thinking that clients send back.
struct Replay<'a> {
    blocks: Vec<Block<'a>>,
    /// Some of it has no signature, without which it cannot be sent back.
    unsigned: bool,
}

/// Thinking as our own replies carry it. Clients that collect the pieces of a stream without
/// joining them have its text in several, and the signature in the last.
fn replay<'a>(message: &'a openai::Message<'a>) -> Replay<'a> {
    let pieces = message.thinking_blocks.as_deref().unwrap_or_default();
    let streamed = streamed_thinking(message, pieces);
    let mut all = Replay {
        blocks: Vec::new(),
        unsigned: false,
    };
    let mut open: Option<Text<'a>> = None;
    for piece in pieces {
        let text = piece.thinking.as_deref();
        match (piece.r#type.as_deref(), given(piece.signature.as_ref())) {
            (Some("redacted_thinking"), _) => {
                let data = piece.data.as_deref();
                all.blocks
                    .extend(data.map(|data| Block::RedactedThinking { data }));
            }
            (Some("thinking"), None) => {
                if let Some(more) = text {
                    open = Some(concat(open.take().unwrap_or_default(), more));
                }
            }
            (Some("thinking"), Some(signature)) => {
                let whole = text.filter(|text| !text.is_empty()).map(Text::from);
                all.unsigned |= whole.is_some() && open.is_some();
                let told = whole.or(open.take()).or(streamed.map(Text::from));
                let thinking = told.or(text.map(Text::from));
                all.unsigned |= thinking.is_none();
                all.blocks.extend(thinking.map(|thinking| Block::Thinking {
                    thinking,
                    signature,
                }));
                open = None;
            }
            _ => all.unsigned = true,
        }
    }
    all.unsigned |= open.is_some();
    all
}

/// Some streams have the text in `reasoning_content` alone. Of several blocks nobody knows which
/// text is whose.
fn streamed_thinking<'a>(
    message: &'a openai::Message<'a>,
    pieces: &'a [ThinkingBlock<'a>],
) -> Option<&'a str> {
    let signed = pieces.iter().filter(|piece| piece.signature.is_some());
    let told = |piece: &ThinkingBlock<'_>| given(piece.thinking.as_ref()).is_some();
    if signed.count() != 1 || pieces.iter().any(told) {
        return None;
    }
    match &message.reasoning_content {
        Some(ReasoningContent::Text(text)) => given(Some(text)),
        None | Some(ReasoningContent::Other(_)) => None,
    }
}

fn given<'a>(text: Option<&'a openai::Text<'a>>) -> Option<&'a str> {
    text.map(AsRef::as_ref)
        .filter(|text: &&str| !text.is_empty())
}

fn assistant_part<'a>(part: &'a Part<'a>, place: Place) -> Result<Option<Block<'a>>> {
    let text = |text: &'a Option<openai::Text<'a>>, cache| {
        text.as_deref().and_then(|text| parts::text(text, cache))
    };
    match part.r#type.as_deref().unwrap_or_default() {
        "text" => Ok(text(&part.text, parts::cache(part.cache_control.as_ref()))),
        "refusal" => Ok(text(&part.refusal, None)),
        "thinking" => Ok(part
            .text
            .as_deref()
            .zip(given(part.signature.as_ref()))
            .map(|(thinking, signature)| Block::Thinking {
                thinking: thinking.into(),
                signature,
            })),
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
