//! Messages: OpenAI's roles to Gemini's contents.

use std::borrow::Cow;
use std::collections::HashMap;

use super::features::Features;
use super::parts;
use crate::dialect::data_uri::base64_text;
use crate::error::{Error, Result};
use crate::wire::gemini::{
    Content, FunctionCall, FunctionResponse, Output, Part, Raw, SystemInstruction,
};
use crate::wire::openai::{self, Message, Role, ToolCall};

/// What a call carries whose signature the client did not keep: Google's word for that.
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// What is wrong with a message of each role.
const SYSTEM: &str = "invalid system message";
const DEVELOPER: &str = "invalid developer message";
const ASSISTANT: &str = "invalid assistant message";
const TOOL: &str = "invalid tool message";

/// Names of calls by their ids, the last of each.
type Names<'a> = HashMap<&'a str, &'a str>;

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
    let mut names = Names::new();
    for (index, message) in messages.iter().enumerate() {
        match message.role {
            Role::System => system_parts(message, SYSTEM, &mut all.system)?,
            Role::Developer => system_parts(message, DEVELOPER, &mut all.system)?,
            Role::User => user_parts(message, index, features, &mut pending)?,
            Role::Tool => pending.push(tool_result(message, &names)?),
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

fn system_parts<'a>(
    message: &'a Message<'a>,
    what: &'static str,
    to: &mut Vec<Part<'a>>,
) -> Result<()> {
    match &message.content {
        Some(openai::Content::Text(one)) => to.extend(text(one)),
        Some(openai::Content::Parts(parts)) => {
            for part in parts {
                to.extend(text(text_of(part, what)?));
            }
        }
        None => {
            let why = "message 'content' must be a string or an array";
            return Err(refused(what, why));
        }
    }
    Ok(())
}

/// The text of a part where nothing else may stand.
fn text_of<'a>(part: &'a openai::Part<'a>, what: &'static str) -> Result<&'a str> {
    let is_text = matches!(part.r#type.as_deref(), None | Some("text"));
    match part.text.as_deref() {
        Some(text) => Ok(text),
        None if is_text => Ok(""),
        None => Err(refused(what, "content: text is expected")),
    }
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
fn tool_result<'a>(message: &'a Message<'a>, names: &Names<'a>) -> Result<Part<'a>> {
    let id = message.tool_call_id.as_deref().unwrap_or_default();
    let name = names.get(id).copied();
    let mut output = Cow::Borrowed("");
    match &message.content {
        None => {}
        Some(openai::Content::Text(text)) => output = Cow::Borrowed(text),
        Some(openai::Content::Parts(parts)) => {
            for part in parts {
                let text = text_of(part, TOOL)?;
                if output.is_empty() {
                    output = Cow::Borrowed(text);
                } else {
                    output.to_mut().push_str(text);
                }
            }
        }
    }
    Ok(Part {
        function_response: Some(FunctionResponse {
            name: name.unwrap_or_default(),
            response: Output {
                output: output.into(),
            },
        }),
        ..Part::default()
    })
}

// --- assistant ---

/// Tool calls first, then what was said. A signature goes to the first call, without calls to
/// the thought that it is of, or to the last text.
fn assistant_parts<'a>(message: &'a Message<'a>, names: &mut Names<'a>) -> Result<Vec<Part<'a>>> {
    let calls = message.tool_calls.as_deref().unwrap_or_default();
    let said = match &message.content {
        Some(openai::Content::Parts(parts)) => parts.as_slice(),
        None | Some(openai::Content::Text(_)) => &[],
    };
    let signature = signature(message, said)?;
    let mut parts = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let mut part = function_call(call, index, names)?;
        if index == 0 {
            part.thought_signature = Some(signature.unwrap_or(NO_SIGNATURE));
        }
        parts.push(part);
    }
    if let Some(openai::Content::Text(one)) = &message.content {
        parts.extend(text(one));
    }
    for part in said {
        parts.extend(said_part(part, calls.is_empty())?);
    }
    if calls.is_empty() {
        sign_text(&mut parts, signature);
    }
    Ok(parts)
}

/// The first signature of the message's thinking; all of them must be base64.
fn signature<'a>(
    message: &'a Message<'a>,
    said: &'a [openai::Part<'a>],
) -> Result<Option<&'a str>> {
    let in_parts = said.iter().filter_map(signature_of);
    let blocks = message.thinking_blocks.as_deref().unwrap_or_default();
    let in_blocks = blocks.iter().filter_map(|block| block.signature.as_deref());
    let mut all = in_parts.chain(in_blocks).filter(|text| !text.is_empty());
    let first = all.next();
    if first.into_iter().chain(all).all(is_base64) {
        Ok(first)
    } else {
        Err(refused(ASSISTANT, "failed to decode thought signature"))
    }
}

fn is_base64(text: &str) -> bool {
    base64_text(text).is_some()
}

/// Only thinking has a signature.
fn signature_of<'a>(part: &'a openai::Part<'a>) -> Option<&'a str> {
    let thinking = part.r#type.as_deref() == Some("thinking");
    let signature = part.signature.as_deref().filter(|_| thinking)?;
    (!signature.is_empty()).then_some(signature)
}

/// A signature whose thought is not sent back goes to the last text, where Gemini put it.
fn sign_text<'a>(parts: &mut [Part<'a>], signature: Option<&'a str>) {
    if parts.iter().any(|part| part.thought_signature.is_some()) {
        return;
    }
    let mut texts = parts.iter_mut().rev().filter(|part| part.thought.is_none());
    if let Some(last) = texts.next() {
        last.thought_signature = signature;
    }
}

fn said_part<'a>(part: &'a openai::Part<'a>, signed: bool) -> Result<Option<Part<'a>>> {
    let words = part.text.as_deref().unwrap_or_default();
    match part.r#type.as_deref().unwrap_or("text") {
        "text" => Ok(text(words)),
        "refusal" => Ok(None),
        "thinking" => Ok(text(words).map(|said| Part {
            thought: Some(true),
            thought_signature: signature_of(part).filter(|_| signed),
            ..said
        })),
        other => Err(refused(
            ASSISTANT,
            &format!("unsupported content type in assistant message: {other}"),
        )),
    }
}

fn function_call<'a>(
    call: &'a ToolCall<'a>,
    index: usize,
    names: &mut Names<'a>,
) -> Result<Part<'a>> {
    let id = call.id.as_deref().ok_or_else(|| {
        let why = format!("tool_call at index {index} is missing required field 'id'");
        refused(ASSISTANT, &why)
    })?;
    let function = call.function.as_ref().ok_or_else(|| {
        let why = format!("tool_call at index {index} is missing required field 'function'");
        refused(ASSISTANT, &why)
    })?;
    let (name, arguments) = (function.name.as_ref(), function.arguments.as_ref());
    let args: Option<Raw<'a>> = if arguments.trim().is_empty() {
        None
    } else {
        let args = serde_json::from_str::<Raw<'a>>(arguments)
            .ok()
            .filter(|args| args.get().starts_with('{') || args.get() == "null");
        let args =
            args.ok_or_else(|| refused(ASSISTANT, "function arguments must be valid JSON"))?;
        Some(args).filter(|args| !is_empty_object(args))
    };
    names.insert(id, name);
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
