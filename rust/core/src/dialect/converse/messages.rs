//! Messages: OpenAI's roles to Converse's turns.

use super::parts::{self, Names, Place, mark};
use super::request::refuse;
use super::tools::arguments;
use crate::dialect::data_uri::base64_text;
use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::bedrock::{
    Block, CachePoint, Message, Reasoning, ReasoningText, ResultBlock, SystemBlock, Text,
    ToolResult, ToolUse,
};
use crate::wire::openai::{
    self, CacheControl, Content, Part, ReasoningContent, Role, ThinkingBlock, ToolCall,
};

/// Turns, and the system blocks that stand before them.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<SystemBlock<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

/// Converts the messages. Empty texts and messages without a block are left out: the provider
/// refuses them.
pub(super) fn conversation<'a>(messages: &'a [openai::Message<'a>]) -> Result<Conversation<'a>> {
    let mut all = Conversation::default();
    let mut names = Names::default();
    let mut results: Vec<Block<'a>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.role == Role::Tool {
            // The results of parallel calls belong into one turn.
            tool_result(message, index, &mut names, &mut results)?;
            continue;
        }
        all.push("user", std::mem::take(&mut results));
        match message.role {
            Role::System | Role::Developer => system_blocks(message, index, &mut all.system)?,
            Role::User => all.push("user", user_blocks(message, index, &mut names)?),
            Role::Assistant => all.push("assistant", assistant_blocks(message, index)?),
            // Taken above.
            Role::Tool => {}
        }
    }
    all.push("user", results);
    Ok(all)
}

impl<'a> Conversation<'a> {
    fn push(&mut self, role: &'static str, content: Vec<Block<'a>>) {
        if !content.is_empty() {
            self.messages.push(Message { content, role });
        }
    }
}

/// Notes what [`conversation`] leaves out of a message.
pub(super) fn note_dropped(message: &openai::Message<'_>, dropped: &mut Dropped) {
    if message.reasoning_content.is_some() && streamed_thinking(message).is_none() {
        dropped.note("messages[].reasoning_content", true);
    }
    let Some(Content::Parts(parts)) = &message.content else {
        return;
    };
    for part in parts {
        let image = part.image_url.as_ref();
        let detail = image.and_then(|image| image.detail.as_deref());
        dropped.note(
            "messages[].content[].image_url.detail",
            detail.is_some_and(|detail| detail != "auto"),
        );
        let kind = part.r#type.as_deref().unwrap_or_default();
        let known = matches!(kind, "text" | "refusal" | "thinking" | "redacted_thinking");
        if message.role == Role::Assistant && !known {
            dropped.note_kind("messages[].content[]", kind);
        }
    }
}

/// The marker behind a block. A lifetime is named only where the client names one: not every
/// model takes it.
pub(super) fn cache_point<'a>(marker: Option<&'a CacheControl<'a>>) -> Option<CachePoint<'a>> {
    let marker = marker.filter(|marker| marker.is_enabled())?;
    Some(CachePoint {
        r#type: "default",
        ttl: marker
            .ttl
            .as_deref()
            .filter(|ttl| matches!(*ttl, "5m" | "1h")),
    })
}

// --- system ---

fn system_blocks<'a>(
    message: &'a openai::Message<'a>,
    index: usize,
    system: &mut Vec<SystemBlock<'a>>,
) -> Result<()> {
    let said = |text: &'a str| (!text.is_empty()).then_some(SystemBlock::Text(text));
    match &message.content {
        None => {}
        Some(Content::Text(text)) => system.extend(said(text)),
        Some(Content::Parts(parts)) => {
            for (at, part) in parts.iter().enumerate() {
                if !part.is_text() {
                    let why = "a system message takes text only";
                    return Err(refuse(Place::new(index, at), why));
                }
                system.extend(part.text.as_deref().and_then(said));
                let point = cache_point(part.cache_control.as_ref());
                mark(system, point, SystemBlock::CachePoint);
            }
        }
    }
    let point = cache_point(message.cache_control.as_ref());
    mark(system, point, SystemBlock::CachePoint);
    Ok(())
}

// --- user and tool ---

fn user_blocks<'a>(
    message: &'a openai::Message<'a>,
    index: usize,
    names: &mut Names,
) -> Result<Vec<Block<'a>>> {
    let mut blocks = Vec::new();
    match &message.content {
        None => {}
        Some(Content::Text(text)) => blocks.extend(text_block(text)),
        Some(Content::Parts(parts)) => {
            for (at, part) in parts.iter().enumerate() {
                blocks.extend(parts::block(part, Place::new(index, at), names)?);
                mark_block(&mut blocks, part.cache_control.as_ref());
            }
        }
    }
    mark_block(&mut blocks, message.cache_control.as_ref());
    Ok(blocks)
}

fn text_block(text: &str) -> Option<Block<'_>> {
    (!text.is_empty()).then_some(Block::Text(text))
}

fn mark_block<'a>(blocks: &mut Vec<Block<'a>>, marker: Option<&'a CacheControl<'a>>) {
    mark(blocks, cache_point(marker), Block::CachePoint);
}

/// One `toolResult`, and the marker of the message or of one of its parts behind it.
fn tool_result<'a>(
    message: &'a openai::Message<'a>,
    index: usize,
    names: &mut Names,
    results: &mut Vec<Block<'a>>,
) -> Result<()> {
    let mut marker = message.cache_control.as_ref();
    let content = match &message.content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![ResultBlock::Text(text)],
        Some(Content::Parts(parts)) => {
            let mut markers = parts.iter().filter_map(|part| part.cache_control.as_ref());
            marker = marker.or_else(|| markers.find(|marker| marker.is_enabled()));
            result_blocks(parts, index, names)?
        }
    };
    let tool_use_id = message
        .tool_call_id
        .as_deref()
        .ok_or_else(|| refuse(format!("messages[{index}].tool_call_id"), "required"))?;
    results.push(Block::ToolResult(ToolResult {
        tool_use_id,
        content,
        status: None,
    }));
    mark_block(results, marker);
    Ok(())
}

fn result_blocks<'a>(
    parts: &'a [Part<'a>],
    index: usize,
    names: &mut Names,
) -> Result<Vec<ResultBlock<'a>>> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let place = Place::new(index, at);
        if part.is_text() {
            let text = part.text.as_deref().unwrap_or_default();
            blocks.push(ResultBlock::Text(text));
            continue;
        }
        blocks.push(match parts::block(part, place, names)? {
            Some(Block::Image(image)) => ResultBlock::Image(image),
            Some(Block::Document(document)) => ResultBlock::Document(document),
            _ => return Err(refuse(place, "not supported in a tool result")),
        });
    }
    Ok(blocks)
}

// --- assistant ---

fn assistant_blocks<'a>(message: &'a openai::Message<'a>, index: usize) -> Result<Vec<Block<'a>>> {
    let parts = match &message.content {
        Some(Content::Parts(parts)) => parts.as_slice(),
        None | Some(Content::Text(_)) => &[],
    };
    let mut blocks = Vec::new();
    if !parts.iter().any(is_thinking) {
        let streamed = streamed_thinking(message);
        for block in message.thinking_blocks.as_deref().unwrap_or_default() {
            blocks.extend(replayed_thinking(block, streamed)?);
        }
    }
    if let Some(Content::Text(text)) = &message.content {
        blocks.extend(text_block(text));
    }
    for part in parts {
        blocks.extend(assistant_part(part)?);
        mark_block(&mut blocks, part.cache_control.as_ref());
    }
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    for (at, call) in calls.iter().enumerate() {
        blocks.push(tool_use(call, index, at)?);
        mark_block(&mut blocks, call.cache_control.as_ref());
    }
    mark_block(&mut blocks, message.cache_control.as_ref());
    Ok(blocks)
}

fn is_thinking(part: &Part<'_>) -> bool {
    matches!(
        part.r#type.as_deref(),
        Some("thinking" | "redacted_thinking")
    )
}

fn assistant_part<'a>(part: &'a Part<'a>) -> Result<Option<Block<'a>>> {
    match part.r#type.as_deref() {
        Some("text") => Ok(part.text.as_deref().and_then(text_block)),
        Some("refusal") => Ok(part.refusal.as_deref().and_then(text_block)),
        Some("thinking") => Ok(part
            .text
            .as_deref()
            .map(|text| reasoning_text(text, part.signature.as_deref()))),
        Some("redacted_thinking") => part
            .redacted_content
            .as_deref()
            .map(redacted_content)
            .transpose(),
        Some(_) | None => Ok(None),
    }
}

fn given<'a>(text: Option<&'a openai::Text<'_>>) -> Option<&'a str> {
    text.map(AsRef::as_ref).filter(|text| !text.is_empty())
}

/// The text of a thinking block that came as a stream: there it is in `reasoning_content`, and
/// the block has its signature alone. Of several blocks nobody knows which text is whose.
fn streamed_thinking<'a>(message: &'a openai::Message<'a>) -> Option<&'a str> {
    let blocks = message.thinking_blocks.as_deref()?;
    let mut thinking = blocks
        .iter()
        .filter(|b| b.r#type.as_deref() == Some("thinking"));
    match (thinking.next(), thinking.next(), &message.reasoning_content) {
        (Some(_), None, Some(ReasoningContent::Text(text))) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Thinking as our own replies carry it.
fn replayed_thinking<'a>(
    block: &'a ThinkingBlock<'a>,
    streamed: Option<&'a str>,
) -> Result<Option<Block<'a>>> {
    match block.r#type.as_deref() {
        Some("thinking") => {
            let text = given(block.thinking.as_ref()).or(streamed);
            let signature = given(block.signature.as_ref());
            let says_something = text.is_some() || signature.is_some();
            Ok(says_something.then(|| reasoning_text(text.unwrap_or_default(), signature)))
        }
        Some("redacted_thinking") => given(block.data.as_ref()).map(redacted_content).transpose(),
        Some(_) | None => Ok(None),
    }
}

fn reasoning_text<'a>(text: &'a str, signature: Option<&'a str>) -> Block<'a> {
    Block::ReasoningContent(Reasoning::ReasoningText(ReasoningText {
        text,
        signature: signature.filter(|signature| !signature.is_empty()),
    }))
}

fn redacted_content(data: &str) -> Result<Block<'_>> {
    let bytes = base64_text(data).map(Text::from).ok_or_else(|| {
        Error::Untranslatable("redacted_content must be a binary/bytes value in bedrock".into())
    })?;
    Ok(Block::ReasoningContent(Reasoning::RedactedContent(bytes)))
}

fn tool_use<'a>(call: &'a ToolCall<'a>, message: usize, index: usize) -> Result<Block<'a>> {
    let tool_use_id = call.id.as_deref().ok_or_else(|| {
        Error::Untranslatable(format!(
            "tool_call at index {index} is missing required field 'id'"
        ))
    })?;
    let place = format!("messages[{message}].tool_calls[{index}].function");
    let Some(function) = &call.function else {
        return Err(refuse(place, "required"));
    };
    let input = arguments(&function.arguments)
        .ok_or_else(|| refuse(place + ".arguments", "a JSON object is expected"))?;
    Ok(Block::ToolUse(ToolUse {
        tool_use_id,
        name: &function.name,
        input,
    }))
}
