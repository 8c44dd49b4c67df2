//! An OpenAI chat request as a Converse request.

use super::{messages, tools};
use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::bedrock::{
    AdditionalFields, ConverseRequest, InferenceConfig, Thinking, ToolConfig, Typed,
};
use crate::wire::openai::{self, ChatRequest, Stop, ThinkingType};

/// Optional members of a chat request that a Converse request carries.
const READ: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "reasoning_effort",
    "thinking",
    "service_tier",
    // Where it belongs to a signature.
    "messages[].reasoning_content",
];

/// The Converse request of a chat request. `model` is the one that the provider gets.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that Converse cannot express,
/// [`Error::MalformedRequest`] for parts of unknown type.
pub(crate) fn chat_request<'a>(
    req: &'a ChatRequest<'a>,
    model: &str,
    dropped: &mut Dropped,
) -> Result<ConverseRequest<'a>> {
    let conversation = messages::conversation(req.messages.as_deref().unwrap_or_default())?;
    let tool_config = tools::config(req, model, &conversation.messages)?;
    note_dropped(req, tool_config.as_ref(), dropped);
    Ok(ConverseRequest {
        additional_model_request_fields: additional_fields(req),
        inference_config: InferenceConfig {
            max_tokens: req.max_completion_tokens.or(req.max_tokens),
            stop_sequences: req.stop.as_ref().map(stop_sequences).unwrap_or_default(),
            temperature: req.temperature,
            top_p: req.top_p,
        },
        service_tier: service_tier(req),
        tool_config,
        system: conversation.system,
        messages: conversation.messages,
    })
}

/// Notes what the Converse request leaves out.
fn note_dropped(req: &ChatRequest<'_>, config: Option<&ToolConfig<'_>>, dropped: &mut Dropped) {
    req.note_unread(READ, dropped);
    let thinking = req.thinking.as_ref();
    dropped.note(
        "thinking.includeThoughts",
        thinking.is_some_and(|thinking| thinking.include_thoughts.is_some()),
    );
    let chosen =
        matches!(&req.tool_choice, Some(openai::ToolChoice::Word(word)) if !word.is_empty());
    dropped.note(
        "tool_choice",
        chosen && config.is_some_and(|config| config.tool_choice.is_none()),
    );
    for tool in req.tools.iter().flatten() {
        match &tool.function {
            Some(function) => {
                dropped.note("tools[].function.strict", function.strict == Some(true));
            }
            None => dropped.note_kind("tools[]", &tool.r#type),
        }
    }
    for message in req.messages.iter().flatten() {
        dropped.note("messages[].name", message.name.is_some());
        messages::note_dropped(message, dropped);
    }
}

fn stop_sequences<'a>(stop: &'a Stop<'a>) -> Vec<&'a str> {
    match stop {
        Stop::One(one) => vec![one.as_ref()],
        Stop::Many(many) => many.iter().map(AsRef::as_ref).collect(),
    }
}

/// OpenAI's `auto` is the absence of a choice; Bedrock does not know the word.
fn service_tier<'a>(req: &'a ChatRequest<'a>) -> Option<Typed<'a>> {
    let r#type = req.service_tier.as_deref()?;
    (!matches!(r#type, "" | "auto")).then_some(Typed { r#type })
}

fn additional_fields<'a>(req: &'a ChatRequest<'a>) -> Option<AdditionalFields<'a>> {
    let effort = req.reasoning_effort.as_deref();
    let fields = AdditionalFields {
        thinking: req.thinking.as_ref().map(thinking),
        reasoning_config: effort.filter(|effort| !effort.is_empty()),
        ..AdditionalFields::default()
    };
    (!fields.is_empty()).then_some(fields)
}

fn thinking<'a>(thinking: &'a openai::Thinking<'a>) -> Thinking<'a> {
    let display = thinking.display.as_deref().filter(|text| !text.is_empty());
    let (r#type, budget_tokens, display) = match thinking.r#type {
        ThinkingType::Enabled => ("enabled", thinking.budget_tokens, display),
        ThinkingType::Adaptive => ("adaptive", None, display),
        ThinkingType::Disabled => ("disabled", None, None),
    };
    Thinking {
        r#type,
        budget_tokens,
        display,
    }
}

/// The field at `place` cannot be expressed.
pub(super) fn refuse(place: impl std::fmt::Display, why: &str) -> Error {
    Error::Untranslatable(format!("{place}: {why}"))
}
