//! Tool definitions and the choice among them.

use serde_json::value::RawValue;

use super::parts::cache;
use super::request::is_object;
use crate::error::{Error, Result};
use crate::wire::Members;
use crate::wire::anthropic::{Raw, Text, Tool, ToolChoice};
use crate::wire::openai::{self, ChatRequest};

/// The tools of a request.
pub(super) fn definitions<'a>(req: &'a ChatRequest<'a>) -> Result<Vec<Tool<'a>>> {
    let tools = req.tools.as_deref().unwrap_or_default();
    tools
        .iter()
        .enumerate()
        .map(|(index, tool)| definition(tool, index))
        .collect()
}

fn definition<'a>(tool: &'a openai::Tool<'a>, index: usize) -> Result<Tool<'a>> {
    if tool.r#type != "function" {
        let kind = &tool.r#type;
        return Err(Error::Untranslatable(format!(
            "unsupported tool type: {kind}"
        )));
    }
    let function = tool.function.as_ref().ok_or_else(|| {
        Error::Untranslatable("tool of type 'function' is missing function definition".into())
    })?;
    let input_schema = input_schema(function.parameters).ok_or_else(|| {
        Error::Untranslatable(format!(
            "tools[{index}].function.parameters: an object is expected"
        ))
    })?;
    Ok(Tool {
        name: &function.name,
        description: function.description.as_deref().unwrap_or_default(),
        input_schema,
        strict: function.strict.filter(|strict| *strict),
        cache_control: cache(function.cache_control.as_ref()),
    })
}

// --- schema ---

/// The schema of a tool: an object schema in any case, all else as the client wrote it.
pub(super) fn input_schema(parameters: Option<Raw<'_>>) -> Option<Members<'_>> {
    let mut members = match parameters {
        None => vec![(Text::from("properties"), raw_json("{}")?)],
        Some(raw) => serde_json::from_str::<Members<'_>>(raw.get()).ok()?.0,
    };
    let object = raw_json("\"object\"")?;
    members.retain(|(name, value)| match name.as_ref() {
        "properties" => is_object(value),
        "required" => value.get().starts_with('['),
        _ => true,
    });
    match members.iter_mut().find(|(name, _)| name == "type") {
        Some((_, value)) if is_type_name(value) => {}
        Some((_, value)) => *value = object,
        None => members.insert(0, (Text::from("type"), object)),
    }
    Some(Members(members))
}

fn is_type_name(raw: Raw<'_>) -> bool {
    raw.get().starts_with('"') && raw.get() != "\"\""
}

fn raw_json(text: &'static str) -> Option<Raw<'static>> {
    serde_json::from_str::<&RawValue>(text).ok()
}

// --- choice ---

/// Whether a choice by object is one that Claude knows.
pub(super) fn names_function(choice: &openai::ToolChoiceObject<'_>) -> bool {
    choice.r#type == "function" && !choice.function.name.is_empty()
}

/// The tool choice of a request that has tools.
///
/// `{"type":"allowed_tools"}` and other objects without a function name are dropped.
pub(super) fn choice<'a>(req: &'a ChatRequest<'a>) -> Result<Option<ToolChoice<'a>>> {
    let serial = req.parallel_tool_calls == Some(false);
    let of = |r#type, name| ToolChoice {
        r#type,
        name,
        disable_parallel_tool_use: Some(serial),
    };
    let word = match &req.tool_choice {
        None => None,
        Some(openai::ToolChoice::Object(object)) => {
            if names_function(object) {
                return Ok(Some(of("tool", Some(&object.function.name))));
            }
            None
        }
        Some(openai::ToolChoice::Word(word)) => Some(word.as_ref()),
    };
    match word {
        // The ban on parallel calls needs a choice to stand in.
        None => Ok(serial.then(|| of("auto", None))),
        Some("auto") => Ok(Some(of("auto", None))),
        Some("required" | "any") => Ok(Some(of("any", None))),
        Some("none") => Ok(Some(ToolChoice {
            disable_parallel_tool_use: None,
            ..of("none", None)
        })),
        Some(other) => Err(Error::Untranslatable(format!(
            "unsupported tool_choice value: {other}"
        ))),
    }
}
