//! What a request asks for and Gemini is not told.

use super::features::Features;
use crate::dialect::unread::{note_names_and_markers, parts};
use crate::translate::Dropped;
use crate::wire::openai::{ChatRequest, Message, Role};

/// Optional members of a chat request that a `generateContent` request carries.
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
    "reasoning_effort",
    "thinking",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "guided_choice",
    "guided_regex",
    "guided_json",
    "generationConfig",
    "safetySettings",
    "cachedContent",
];

/// Notes what the request of a chat for `model` leaves out.
pub(crate) fn note_dropped(req: &ChatRequest<'_>, model: &str, dropped: &mut Dropped) {
    let features = Features::of(model);
    req.note_unread(READ, dropped);
    note_thinking(req, features, dropped);
    let settings = req.generation_config.as_ref();
    let resolution = settings.is_some_and(|settings| settings.media_resolution.is_some());
    dropped.note(
        "generationConfig.media_resolution",
        resolution && !features.levels(),
    );
    note_messages(req, model, dropped);
}

/// Of two ways to say how much a model thinks, one counts.
fn note_thinking(req: &ChatRequest<'_>, features: Features, dropped: &mut Dropped) {
    let thinking = req.thinking.as_ref();
    let settings = req.generation_config.as_ref();
    let own = settings.is_some_and(|settings| settings.thinking_config.is_some());
    dropped.note("generationConfig.thinkingConfig", own && thinking.is_some());
    dropped.note(
        "reasoning_effort",
        req.reasoning_effort.is_some() && (!features.levels() || own || thinking.is_some()),
    );
    dropped.note(
        "thinking.display",
        thinking.is_some_and(|thinking| thinking.display.is_some()),
    );
}

/// Notes what messages and tools have that Gemini is not told.
pub(crate) fn note_messages(req: &ChatRequest<'_>, model: &str, dropped: &mut Dropped) {
    let features = Features::of(model);
    note_names_and_markers(req, dropped);
    for message in req.messages.iter().flatten() {
        note_message(message, features, dropped);
    }
    for tool in req.tools.iter().flatten() {
        let function = tool.function.as_ref();
        let strict = function.and_then(|function| function.strict);
        dropped.note("tools[].function.strict", strict == Some(true));
        if tool.r#type == "function" && function.is_none() {
            dropped.note_kind("tools[]", &tool.r#type);
        }
    }
}

fn note_message(message: &Message<'_>, features: Features, dropped: &mut Dropped) {
    for part in parts(message) {
        let image = part.image_url.as_ref();
        let detail = image.and_then(|image| image.detail.as_deref());
        dropped.note(
            "messages[].content[].image_url.detail",
            detail.is_some_and(|detail| !matches!(detail, "" | "auto")) && !features.levels(),
        );
        let refusal = part.refusal.as_deref();
        dropped.note(
            "messages[].content[].refusal",
            refusal.is_some_and(|text| !text.is_empty()) && message.role == Role::Assistant,
        );
    }
    let mut blocks = message.thinking_blocks.iter().flatten();
    let says = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
    dropped.note(
        "messages[].thinking_blocks[].thinking",
        blocks.any(|block| says(block.thinking.as_deref()) || says(block.data.as_deref())),
    );
}
