//! Members of chat messages and tools that many providers have no use for.

use crate::translate::Dropped;
use crate::wire::openai::{CacheControl, ChatRequest, Content, Message, Part};

/// Notes the names of authors, and cache markers wherever they stand.
pub(crate) fn note_names_and_markers(req: &ChatRequest<'_>, dropped: &mut Dropped) {
    let marked =
        |marker: &Option<CacheControl<'_>>| marker.as_ref().is_some_and(CacheControl::is_enabled);
    for message in req.messages.iter().flatten() {
        dropped.note("messages[].name", message.name.is_some());
        dropped.note("messages[].cache_control", marked(&message.cache_control));
        let mut parts = parts(message).iter();
        dropped.note(
            "messages[].content[].cache_control",
            parts.any(|part| marked(&part.cache_control)),
        );
        let mut calls = message.tool_calls.iter().flatten();
        dropped.note(
            "messages[].tool_calls[].cache_control",
            calls.any(|call| marked(&call.cache_control)),
        );
    }
    let mut tools = req.tools.iter().flatten();
    dropped.note(
        "tools[].function.cache_control",
        tools.any(|tool| {
            let function = tool.function.as_ref();
            function.is_some_and(|function| marked(&function.cache_control))
        }),
    );
}

/// The parts of a message; none where its content is a text.
pub(crate) fn parts<'a>(message: &'a Message<'a>) -> &'a [Part<'a>] {
    match &message.content {
        Some(Content::Parts(parts)) => parts,
        None | Some(Content::Text(_)) => &[],
    }
}
