//! Tool definitions and the choice among them.

use aws_smithy_types::date_time::{DateTime, Format};

use super::features::Features;
use super::messages::refused;
use super::schema;
use crate::error::Result;
use crate::wire::gemini::{
    Empty, FunctionCallingConfig, FunctionDeclaration, GoogleSearch, TimeRangeFilter, Tool,
    ToolConfig,
};
use crate::wire::openai::{self, ToolChoice};

const TOOLS: &str = "invalid tools";
const CHOICE: &str = "invalid tool configs";

/// The tools: searches in their order, then all functions in one. `None` without any.
pub(super) fn definitions<'a>(
    tools: &'a [openai::Tool<'a>],
    features: Features,
) -> Result<Option<Vec<Tool<'a>>>> {
    let mut all = Vec::new();
    let mut functions = Vec::new();
    for tool in tools {
        match tool.r#type.as_ref() {
            "function" => {
                if let Some(function) = &tool.function {
                    functions.push(declaration(function, features)?);
                }
            }
            "google_search" => all.push(Tool::GoogleSearch(search(tool.google_search.as_ref()))),
            "enterprise_search" => all.push(Tool::EnterpriseWebSearch(Empty {})),
            "image_generation" => {
                let why = "tool-type image generation not supported yet";
                return Err(refused(TOOLS, why));
            }
            other => {
                let why = format!("unsupported tool type: {other}");
                return Err(refused(TOOLS, &why));
            }
        }
    }
    if !functions.is_empty() {
        all.push(Tool::FunctionDeclarations(functions));
    }
    Ok((!all.is_empty()).then_some(all))
}

fn declaration<'a>(
    function: &'a openai::Function<'a>,
    features: Features,
) -> Result<FunctionDeclaration<'a>> {
    let mut declaration = FunctionDeclaration {
        name: &function.name,
        description: function
            .description
            .as_deref()
            .filter(|text| !text.is_empty()),
        parameters_json_schema: None,
        parameters: None,
    };
    let Some(parameters) = function.parameters else {
        return Ok(declaration);
    };
    if features.json_schema() {
        declaration.parameters_json_schema = Some(parameters);
        return Ok(declaration);
    }
    if !parameters.get().starts_with('{') {
        let name = &function.name;
        let why = format!("tool {name} parameters must be a JSON object");
        return Err(refused(TOOLS, &why));
    }
    let converted = schema::convert(parameters)
        .map_err(|why| refused(TOOLS, &format!("tool {} parameters: {why}", function.name)))?;
    declaration.parameters = Some(converted).filter(|schema| !is_empty(schema));
    Ok(declaration)
}

fn is_empty(schema: &serde_json::Value) -> bool {
    schema.as_object().is_some_and(serde_json::Map::is_empty)
}

fn search<'a>(options: Option<&'a openai::GoogleSearch<'a>>) -> GoogleSearch<'a> {
    let range = options.and_then(|options| options.time_range_filter.as_ref());
    GoogleSearch {
        exclude_domains: options
            .and_then(|options| options.exclude_domains.as_deref())
            .unwrap_or_default(),
        blocking_confidence: options
            .and_then(|options| options.blocking_confidence.as_deref())
            .filter(|word| !word.is_empty()),
        time_range_filter: range.map(|range| TimeRangeFilter {
            start_time: time(range.start_time.as_ref()),
            end_time: time(range.end_time.as_ref()),
        }),
    }
}

/// Times that are none are left out.
fn time<'a>(text: Option<&'a openai::Text<'a>>) -> Option<&'a str> {
    let text = text?;
    let known = DateTime::from_str(text, Format::DateTimeWithOffset).is_ok();
    known.then_some(text)
}

/// The choice; Gemini knows a set of functions where OpenAI names one.
pub(super) fn choice<'a>(choice: Option<&'a ToolChoice<'a>>) -> Result<Option<ToolConfig<'a>>> {
    let (mode, name) = match choice {
        None => return Ok(None),
        Some(ToolChoice::Object(object)) => ("ANY", Some(object.function.name.as_ref())),
        Some(ToolChoice::Word(word)) => match word.as_ref() {
            "auto" => ("AUTO", None),
            "none" => ("NONE", None),
            "required" | "any" => ("ANY", None),
            other => {
                let why = format!("unsupported tool_choice value '{other}'");
                return Err(refused(CHOICE, &why));
            }
        },
    };
    Ok(Some(ToolConfig {
        function_calling_config: FunctionCallingConfig {
            mode,
            allowed_function_names: name.map(|name| [name]),
        },
    }))
}
