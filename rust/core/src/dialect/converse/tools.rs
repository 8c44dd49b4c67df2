//! Tool definitions, the choice among them, and arguments of calls.

use serde_json::value::RawValue;

use super::messages::cache_point;
use super::parts::mark;
use super::request::refuse;
use crate::error::Result;
use crate::wire::bedrock::{
    Block, Empty, InputSchema, Message, Raw, Tool, ToolChoice, ToolConfig, ToolName, ToolSpec,
};
use crate::wire::openai::{self, ChatRequest};

/// The tools of a request; none when it has none, or must not use any.
///
/// Converse has no choice `none`. Without tools in the conversation the definitions can go,
/// which says the same; with them Bedrock insists on definitions, and the choice is lost.
pub(super) fn config<'a>(
    req: &'a ChatRequest<'a>,
    model: &str,
    conversation: &[Message<'a>],
) -> Result<Option<ToolConfig<'a>>> {
    let defined = req.tools.as_deref().unwrap_or_default();
    let banned = matches!(&req.tool_choice, Some(openai::ToolChoice::Word(word)) if word == "none");
    if defined.is_empty() || banned && !uses_tools(conversation) {
        return Ok(None);
    }
    let mut tools = Vec::with_capacity(defined.len());
    for (index, tool) in defined.iter().enumerate() {
        let Some(function) = &tool.function else {
            continue;
        };
        tools.push(Tool::ToolSpec(definition(function, index)?));
        let point = cache_point(function.cache_control.as_ref());
        mark(&mut tools, point, Tool::CachePoint);
    }
    Ok(Some(ToolConfig {
        tools,
        tool_choice: choice(req, model)?,
    }))
}

pub(super) fn uses_tools(conversation: &[Message<'_>]) -> bool {
    conversation
        .iter()
        .flat_map(|message| &message.content)
        .any(|block| matches!(block, Block::ToolUse(_) | Block::ToolResult(_)))
}

fn definition<'a>(function: &'a openai::Function<'a>, index: usize) -> Result<ToolSpec<'a>> {
    let json = function
        .parameters
        .or_else(empty_schema)
        .filter(is_object)
        .ok_or_else(|| {
            let place = format!("tools[{index}].function.parameters");
            refuse(place, "an object is expected")
        })?;
    Ok(ToolSpec {
        name: &function.name,
        description: function
            .description
            .as_deref()
            .filter(|text| !text.is_empty()),
        input_schema: InputSchema { json },
    })
}

fn choice<'a>(req: &'a ChatRequest<'a>, model: &str) -> Result<Option<ToolChoice<'a>>> {
    let word = match &req.tool_choice {
        None => return Ok(None),
        Some(openai::ToolChoice::Object(object)) => {
            let name = object.function.name.as_ref();
            if name.is_empty() {
                return Err(refuse("tool_choice.function.name", "required"));
            }
            return Ok(Some(ToolChoice::Tool(ToolName { name })));
        }
        Some(openai::ToolChoice::Word(word)) => word.as_ref(),
    };
    Ok(match word {
        "" | "none" => None,
        "auto" => Some(ToolChoice::Auto(Empty {})),
        "required" | "any" => Some(ToolChoice::Any(Empty {})),
        // An older habit of clients: the bare name. Only Claude was ever known to be so called.
        name if model.contains("anthropic") && model.contains("claude") => {
            Some(ToolChoice::Tool(ToolName { name }))
        }
        _ => None,
    })
}

/// Arguments of a call as they stand; no arguments are an empty object.
pub(super) fn arguments(text: &str) -> Option<Raw<'_>> {
    if text.trim().is_empty() {
        return empty_object();
    }
    let raw: Raw<'_> = serde_json::from_str(text).ok()?;
    match raw.get() {
        "null" => empty_object(),
        _ => is_object(&raw).then_some(raw),
    }
}

/// Raw JSON has no leading blanks.
pub(super) fn is_object(raw: &Raw<'_>) -> bool {
    raw.get().starts_with('{')
}

/// No arguments.
pub(super) fn empty_object<'a>() -> Option<Raw<'a>> {
    raw_json("{}")
}

/// The schema of a tool without parameters.
pub(super) fn empty_schema<'a>() -> Option<Raw<'a>> {
    raw_json(r#"{"type":"object","properties":{}}"#)
}

fn raw_json<'a>(text: &'static str) -> Option<Raw<'a>> {
    serde_json::from_str::<&RawValue>(text).ok()
}
