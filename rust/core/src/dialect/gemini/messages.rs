//! Messages: OpenAI's roles to Gemini's contents.

use std::borrow::Cow;

use super::features::Features;
use super::parts;
use crate::error::{Error, Result};
use crate::wire::gemini::{
    Content, FunctionCall, FunctionResponse, Output, Part, Raw, SystemInstruction,
};
use crate::wire::openai::{self, Message, Role, ToolCall};

/// What a call carries whose signature the client did not keep: Google's word for that.
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// Contents, and the system texts that stand before them.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Part<'a>>,
    pub(super) contents: Vec<Content<'a>>,
}

impl<'a> Conversation<'a> {
    fn push(&mut self, role: &'static str, parts: Vec<Part<'a>>) {
        if !parts.is_empty() {
            self.contents.push(Content { role, parts });
        }
    }

    /// `None` without any system text.
    pub(super) fn system(parts: Vec<Part<'a>>) -> Option<SystemInstruction<'a>> {
        (!parts.is_empty()).then_some(SystemInstruction { parts })
    }
}

/// Converts the messages. Empty texts and messages without a part are left out: the provider
/// refuses them.
pub(super) fn conversation<'a>(
    messages: &'a [Message<'a>],
    features: Features,
) -> Result<Conversation<'a>> {
    let mut all = Conversation::default();
    let mut pending: Vec<Part<'a>> = Vec::new();
    let mut names: Vec<(&'a str, &'a str)> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match message.role {
            Role::System | Role::Developer => system_parts(message, &mut all.system)?,
            Role::User => user_parts(message, index, features, &mut pending)?,
            Role::Tool => pending.push(tool_result(message, &names)),
            Role::Assistant => {
                all.push("user", std::mem::take(&mut pending));
                all.push("model", assistant_parts(message, &mut names)?);
            }
        }
    }
    all.push("user", pending);
    Ok(all)
}

fn text(text: &str) -> Option<Part<'_>> {
    (!text.is_empty()).then(|| Part {
        text: Some(text),
        ..Part::default()
    })
}

fn system_parts<'a>(message: &'a Message<'a>, to: &mut Vec<Part<'a>>) -> Result<()> {
    match &message.content {
        Some(openai::Content::Text(one)) => to.extend(text(one)),
        Some(openai::Content::Parts(parts)) => {
            for part in parts {
                if !matches!(part.r#type.as_deref(), None | Some("text")) {
                    return Err(refused("invalid system message", "text is expected"));
                }
                to.extend(text(part.text.as_deref().unwrap_or_default()));
            }
        }
        None => {
            return Err(refused(
                "invalid system message",
                "message 'content' must be a string or an array",
            ));
        }
    }
    Ok(())
}

/// The parts of a user message; none for empty texts.
pub(super) fn user_parts<'a>(
    message: &'a Message<'a>,
    index: usize,
    features: Features,
    to: &mut Vec<Part<'a>>,
) -> Result<()> {
    match &message.content {
        None => {}
        Some(openai::Content::Text(one)) => to.extend(text(one)),
        Some(openai::Content::Parts(all)) => {
            for (at, part) in all.iter().enumerate() {
                to.extend(parts::part(part, (index, at), features)?);
            }
        }
    }
    Ok(())
}

/// One result. Gemini knows a call by its name, which only the call itself told.
fn tool_result<'a>(message: &'a Message<'a>, names: &[(&'a str, &'a str)]) -> Part<'a> {
    let id = message.tool_call_id.as_deref().unwrap_or_default();
    let name = names.iter().rev().find(|(known, _)| *known == id);
    let mut output = Cow::Borrowed("");
    match &message.content {
        None => {}
        Some(openai::Content::Text(text)) => output = Cow::Borrowed(text),
        Some(openai::Content::Parts(parts)) => {
            for text in parts.iter().filter_map(|part| part.text.as_deref()) {
                if output.is_empty() {
                    output = Cow::Borrowed(text);
                } else {
                    output.to_mut().push_str(text);
                }
            }
        }
    }
    Part {
        function_response: Some(FunctionResponse {
            name: name.map_or("", |(_, name)| name),
            response: Output {
                output: output.into(),
            },
        }),
        ..Part::default()
    }
}

// --- assistant ---

/// Tool calls first, then what was said. A signature goes to the first call, without calls to
/// the thought that it is of, or to the last text.
fn assistant_parts<'a>(
    message: &'a Message<'a>,
    names: &mut Vec<(&'a str, &'a str)>,
) -> Result<Vec<Part<'a>>> {
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    let said = match &message.content {
        Some(openai::Content::Parts(parts)) => parts.as_slice(),
        _ => &[],
    };
    let in_parts = given(said.iter().map(|part| part.signature.as_deref()));
    let blocks = message.thinking_blocks.as_deref().unwrap_or_default();
    let in_blocks = given(blocks.iter().map(|block| block.signature.as_deref()));
    if let Some(signature) = in_parts.or(in_blocks)
        && crate::dialect::data_uri::base64_text(signature).is_none()
    {
        return Err(refused(
            "invalid assistant message",
            "failed to decode thought signature",
        ));
    }
    let mut parts = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let mut part = function_call(call, index, names)?;
        if index == 0 {
            part.thought_signature = Some(in_parts.or(in_blocks).unwrap_or(NO_SIGNATURE));
        }
        parts.push(part);
    }
    if let Some(openai::Content::Text(one)) = &message.content {
        parts.extend(text(one));
    }
    for part in said {
        parts.extend(said_part(part, calls.is_empty())?);
    }
    if calls.is_empty()
        && in_parts.is_none()
        && let Some(last) = parts.iter_mut().rev().find(|part| part.thought.is_none())
    {
        last.thought_signature = in_blocks;
    }
    Ok(parts)
}

fn given<'a>(mut all: impl Iterator<Item = Option<&'a str>>) -> Option<&'a str> {
    all.find_map(|one| one.filter(|text| !text.is_empty()))
}

fn said_part<'a>(part: &'a openai::Part<'a>, signed: bool) -> Result<Option<Part<'a>>> {
    let words = part.text.as_deref().unwrap_or_default();
    match part.r#type.as_deref().unwrap_or("text") {
        "text" => Ok(text(words)),
        "refusal" => Ok(None),
        "thinking" => Ok(text(words).map(|said| Part {
            thought: Some(true),
            thought_signature: part
                .signature
                .as_deref()
                .filter(|signature| signed && !signature.is_empty()),
            ..said
        })),
        other => Err(refused(
            "invalid assistant message",
            &format!("unsupported content type in assistant message: {other}"),
        )),
    }
}

fn function_call<'a>(
    call: &'a ToolCall<'a>,
    index: usize,
    names: &mut Vec<(&'a str, &'a str)>,
) -> Result<Part<'a>> {
    let part = "invalid assistant message";
    let id = call.id.as_deref().ok_or_else(|| {
        let why = format!("tool_call at index {index} is missing required field 'id'");
        refused(part, &why)
    })?;
    let (name, arguments) = match &call.function {
        Some(function) => (function.name.as_ref(), function.arguments.as_ref()),
        None => ("", "{}"),
    };
    let args: Option<Raw<'a>> = if arguments.trim().is_empty() {
        None
    } else {
        let args = serde_json::from_str::<Raw<'a>>(arguments)
            .ok()
            .filter(|args| args.get().starts_with('{') || args.get() == "null");
        let args = args.ok_or_else(|| refused(part, "function arguments must be valid JSON"))?;
        Some(args).filter(|args| !is_empty_object(args))
    };
    names.push((id, name));
    Ok(Part {
        function_call: Some(FunctionCall { name, args }),
        ..Part::default()
    })
}

/// No arguments are left out.
fn is_empty_object(raw: Raw<'_>) -> bool {
    let text = raw.get();
    text == "null"
        || text
            .trim_matches(['{', '}', ' ', '\t', '\r', '\n'])
            .is_empty()
}

pub(super) fn refused(part: &'static str, why: &str) -> Error {
    Error::UntranslatablePart {
        part,
        why: why.to_owned(),
    }
}
