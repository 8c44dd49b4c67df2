//! An OpenAI chat request as a Cohere chat request.

use crate::dialect::unread::{note_names_and_markers, parts as parts_of};
use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::cohere::{
    ChatRequest, Content, Function, FunctionCall, ImageUrl, Message, Part, ResponseFormat, Text,
    Thinking, Tool, ToolCall,
};
use crate::wire::openai::{self, Raw, ResponseFormatType, Role, Stop, ThinkingType, ToolChoice};

/// Optional members of a chat request that Cohere is told.
const READ: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "thinking",
    "seed",
    "presence_penalty",
    "frequency_penalty",
];

/// Notes what the Cohere request of `req` leaves out.
pub(crate) fn note_dropped(req: &openai::ChatRequest<'_>, dropped: &mut Dropped) {
    req.note_unread(READ, dropped);
    note_names_and_markers(req, dropped);
    let thinking = req.thinking.as_ref();
    dropped.note(
        "thinking.display",
        thinking.is_some_and(|thinking| thinking.display.is_some()),
    );
    for message in req.messages.iter().flatten() {
        let mut signed = parts_of(message).iter();
        dropped.note(
            "messages[].content[].signature",
            signed.any(|part| part.signature.is_some()),
        );
        dropped.note(
            "messages[].thinking_blocks",
            message.thinking_blocks.is_some(),
        );
    }
}

/// The Cohere request of a chat request for `model`.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that Cohere cannot express,
/// [`Error::MalformedRequest`] for parts of unknown type.
pub(crate) fn chat_request<'a>(
    req: &'a openai::ChatRequest<'_>,
    model: &'a str,
    stream: bool,
) -> Result<ChatRequest<'a>> {
    let mut messages = Vec::new();
    for (index, message) in req.messages.iter().flatten().enumerate() {
        messages.extend(convert(message, index)?);
    }
    let mut tools = tools(req.tools.as_deref().unwrap_or_default())?;
    let tool_choice = choice(req.tool_choice.as_ref(), &mut tools)?;
    let strict = req.tools.iter().flatten();
    let strict = strict.filter_map(|tool| tool.function.as_ref()?.strict);
    Ok(ChatRequest {
        model,
        messages,
        stream,
        strict_tools: strict.max().filter(|strict| *strict),
        tools,
        tool_choice,
        response_format: response_format(req)?,
        max_tokens: req.max_completion_tokens.or(req.max_tokens),
        stop_sequences: req.stop.as_ref().map(stop_sequences),
        temperature: req.temperature,
        p: req.top_p,
        k: req.top_k,
        seed: req.seed,
        presence_penalty: req.presence_penalty,
        frequency_penalty: req.frequency_penalty,
        thinking: req.thinking.as_ref().map(thinking),
    })
}

fn refuse(place: impl std::fmt::Display, why: &str) -> Error {
    Error::Untranslatable(format!("{place}: {why}"))
}

fn stop_sequences<'a>(stop: &'a Stop<'_>) -> Vec<&'a str> {
    match stop {
        Stop::One(one) => vec![one.as_ref()],
        Stop::Many(many) => many.iter().map(AsRef::as_ref).collect(),
    }
}

fn thinking(thinking: &openai::Thinking<'_>) -> Thinking {
    match thinking.r#type {
        ThinkingType::Disabled => Thinking {
            r#type: "disabled",
            token_budget: None,
        },
        ThinkingType::Enabled | ThinkingType::Adaptive => Thinking {
            r#type: "enabled",
            token_budget: thinking.budget_tokens,
        },
    }
}

fn response_format<'a>(req: &'a openai::ChatRequest<'_>) -> Result<Option<ResponseFormat<'a>>> {
    let Some(format) = &req.response_format else {
        return Ok(None);
    };
    let json_schema = match format.r#type {
        ResponseFormatType::Text => return Ok(None),
        ResponseFormatType::JsonObject => None,
        ResponseFormatType::JsonSchema => {
            let schema = format.json_schema.as_ref().and_then(|json| json.schema);
            let schema = schema.filter(|raw| is_object(raw));
            Some(schema.ok_or_else(|| {
                refuse(
                    "response_format.json_schema.schema",
                    "an object is expected",
                )
            })?)
        }
    };
    Ok(Some(ResponseFormat {
        r#type: "json_object",
        json_schema,
    }))
}

/// Raw JSON has no leading blanks.
fn is_object(raw: Raw<'_>) -> bool {
    raw.get().starts_with('{')
}

// --- tools ---

fn tools<'a>(tools: &'a [openai::Tool<'_>]) -> Result<Vec<Tool<'a>>> {
    let mut all = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let ("function", Some(function)) = (&*tool.r#type, &tool.function) else {
            return Err(refuse(format!("tools[{index}]"), "a function is expected"));
        };
        let parameters = function.parameters.or_else(no_parameters);
        let parameters = parameters.filter(|raw| is_object(raw)).ok_or_else(|| {
            let place = format!("tools[{index}].function.parameters");
            refuse(place, "an object is expected")
        })?;
        let description = function.description.as_deref();
        all.push(Tool {
            r#type: "function",
            function: Function {
                name: &function.name,
                description: description.filter(|text| !text.is_empty()),
                parameters,
            },
        });
    }
    Ok(all)
}

fn no_parameters<'a>() -> Option<Raw<'a>> {
    serde_json::from_str(r#"{"type":"object","properties":{}}"#).ok()
}

/// The choice. Cohere cannot be told which tool to use, so the others are kept from it.
fn choice(
    choice: Option<&ToolChoice<'_>>,
    tools: &mut Vec<Tool<'_>>,
) -> Result<Option<&'static str>> {
    match choice {
        None => Ok(None),
        Some(_) if tools.is_empty() => Ok(None),
        Some(ToolChoice::Object(object)) => {
            let name = object.function.name.as_ref();
            tools.retain(|tool| tool.function.name == name);
            if tools.is_empty() {
                return Err(refuse("tool_choice.function.name", "no tool has this name"));
            }
            Ok(Some("REQUIRED"))
        }
        Some(ToolChoice::Word(word)) => match word.as_ref() {
            "auto" => Ok(None),
            "none" => Ok(Some("NONE")),
            "required" | "any" => Ok(Some("REQUIRED")),
            _ => Err(refuse("tool_choice", "auto, none or required is expected")),
        },
    }
}

// --- messages ---

fn convert<'a>(message: &'a openai::Message<'_>, index: usize) -> Result<Option<Message<'a>>> {
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let content = match &message.content {
        // A call has a result, also one that says nothing.
        None => (message.role == Role::Tool).then(|| Content::Text("".into())),
        Some(openai::Content::Text(text)) => Some(Content::Text((&**text).into())),
        Some(openai::Content::Parts(parts)) if message.role == Role::Tool => {
            Some(Content::Text(joined(parts, index)?))
        }
        Some(openai::Content::Parts(all)) => Some(Content::Parts(parts(all, index)?)),
    };
    let content = content.filter(|content| match content {
        Content::Text(text) => !text.is_empty() || message.role == Role::Tool,
        Content::Parts(parts) => !parts.is_empty(),
    });
    let mut tool_calls = Vec::new();
    for (at, call) in message.tool_calls.iter().flatten().enumerate() {
        tool_calls.push(tool_call(call, index, at)?);
    }
    if content.is_none() && tool_calls.is_empty() {
        return Ok(None);
    }
    let tool_call_id = message.tool_call_id.as_deref();
    if message.role == Role::Tool && tool_call_id.is_none() {
        return Err(refuse(
            format!("messages[{index}].tool_call_id"),
            "required",
        ));
    }
    Ok(Some(Message {
        role,
        content,
        tool_calls,
        tool_call_id: tool_call_id.filter(|_| message.role == Role::Tool),
    }))
}

/// The texts of a tool's result.
fn joined<'a>(parts: &'a [openai::Part<'_>], index: usize) -> Result<Text<'a>> {
    let mut texts = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        if !matches!(part.r#type.as_deref(), None | Some("text")) {
            let place = format!("messages[{index}].content[{at}]");
            return Err(refuse(place, "a tool message takes text only"));
        }
        texts.push(part.text.as_deref().unwrap_or_default());
    }
    Ok(match texts.as_slice() {
        [one] => (*one).into(),
        many => many.concat().into(),
    })
}

fn parts<'a>(parts: &'a [openai::Part<'_>], index: usize) -> Result<Vec<Part<'a>>> {
    let mut all = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let place = || format!("messages[{index}].content[{at}]");
        let text = part.text.as_deref().unwrap_or_default();
        match part.r#type.as_deref().unwrap_or("text") {
            "text" => all.extend((!text.is_empty()).then_some(Part::Text { text })),
            "thinking" => {
                all.extend((!text.is_empty()).then_some(Part::Thinking { thinking: text }));
            }
            "refusal" => {
                let text = part.refusal.as_deref().unwrap_or_default();
                all.extend((!text.is_empty()).then_some(Part::Text { text }));
            }
            "image_url" => {
                let image = part.image_url.as_ref();
                let image = image.ok_or_else(|| refuse(place(), "image_url is missing"))?;
                all.push(Part::ImageUrl {
                    image_url: ImageUrl {
                        url: &image.url,
                        detail: image.detail.as_deref(),
                    },
                });
            }
            known @ ("input_audio" | "audio_url" | "video_url" | "file" | "redacted_thinking") => {
                return Err(refuse(place(), &format!("{known} is not supported")));
            }
            _ => {
                let place = place();
                return Err(Error::MalformedRequest(format!(
                    "{place}.type: unknown content part"
                )));
            }
        }
    }
    Ok(all)
}

fn tool_call<'a>(
    call: &'a openai::ToolCall<'_>,
    message: usize,
    at: usize,
) -> Result<ToolCall<'a>> {
    let place = || format!("messages[{message}].tool_calls[{at}]");
    let id = call.id.as_deref();
    let function = call.function.as_ref();
    let function = function.ok_or_else(|| refuse(place() + ".function", "required"))?;
    let arguments = function.arguments.trim();
    if !arguments.is_empty() && serde_json::from_str::<Raw<'_>>(arguments).is_err() {
        let place = place() + ".function.arguments";
        return Err(refuse(place, "JSON is expected"));
    }
    Ok(ToolCall {
        id: id.ok_or_else(|| refuse(place() + ".id", "required"))?,
        r#type: "function",
        function: FunctionCall {
            name: &function.name,
            arguments: if arguments.is_empty() {
                "{}"
            } else {
                arguments
            },
        },
    })
}
