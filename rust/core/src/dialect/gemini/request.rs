//! An OpenAI chat request as a `generateContent` request.

use serde::Serialize;

use super::features::Features;
use super::messages::{self, Conversation};
use super::{generation, tools};
use crate::dialect::gcp_path::publisher_path;
use crate::error::{Error, Result};
use crate::wire::gemini::{Content, GenerateRequest, Part, SystemInstruction, Tool};
use crate::wire::openai::{ChatRequest, Message, Role};

/// `:path` of a method of `model`.
///
/// # Errors
/// [`Error::Untranslatable`] for names that are no model of Google's.
pub(crate) fn path(model: &str, method: &str) -> Result<String> {
    if model.contains('/') {
        let why = "model: a name without publisher and slashes is expected";
        return Err(Error::Untranslatable(why.into()));
    }
    Ok(publisher_path("google", model, method))
}

/// The request of a chat for `model`.
///
/// # Errors
/// [`Error::UntranslatablePart`] with what Gemini cannot express,
/// [`Error::MalformedRequest`] for parts of unknown type.
pub(crate) fn chat_request<'a>(
    req: &'a ChatRequest<'a>,
    model: &str,
) -> Result<GenerateRequest<'a>> {
    let features = Features::of(model);
    let conversation = conversation(req, features)?;
    let settings = req.safety_settings.as_deref();
    Ok(GenerateRequest {
        contents: Some(conversation.contents).filter(|contents| !contents.is_empty()),
        tools: tools::definitions(req.tools.as_deref().unwrap_or_default(), features)?,
        tool_config: tools::choice(req.tool_choice.as_ref())?,
        generation_config: generation::config(req, features)?,
        system_instruction: Conversation::system(conversation.system),
        safety_settings: settings.filter(|settings| !settings.is_empty()),
        cached_content: req.cached_content.as_deref(),
    })
}

fn conversation<'a>(req: &'a ChatRequest<'a>, features: Features) -> Result<Conversation<'a>> {
    messages::conversation(req.messages.as_deref().unwrap_or_default(), features)
}

/// `:countTokens`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CountRequest<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<SystemInstruction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Tool<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_config: Option<CountConfig<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CountConfig<'a> {
    media_resolution: &'a str,
}

/// The count request of a chat for `model`.
///
/// # Errors
/// As [`chat_request`]; [`Error::Untranslatable`] when there is nothing to count.
pub(crate) fn count_request<'a>(
    req: &'a ChatRequest<'a>,
    media_resolution: Option<&'a str>,
    model: &str,
) -> Result<CountRequest<'a>> {
    let features = Features::of(model);
    let conversation = conversation(req, features)?;
    if conversation.contents.is_empty() && conversation.system.is_empty() {
        let why = "messages must produce at least one content entry";
        return Err(Error::Untranslatable(why.into()));
    }
    Ok(CountRequest {
        contents: conversation.contents,
        system_instruction: Conversation::system(conversation.system),
        tools: tools::definitions(req.tools.as_deref().unwrap_or_default(), features)?,
        generation_config: media_resolution
            .map(|media_resolution| CountConfig { media_resolution }),
    })
}

/// All parts of the user messages, for one embedding.
///
/// # Errors
/// As [`chat_request`].
pub(crate) fn embed_parts<'a>(messages: &'a [Message<'a>], model: &str) -> Result<Vec<Part<'a>>> {
    let features = Features::of(model);
    let mut parts = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.role == Role::User {
            messages::user_parts(message, index, features, &mut parts)?;
        }
    }
    Ok(parts)
}
