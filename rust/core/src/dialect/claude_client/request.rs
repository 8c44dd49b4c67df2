//! A Messages request as a chat request.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::Text;
use crate::wire::anthropic_client::{
    Block, CacheControl, Content, Message, MessagesRequest, OutputConfig, Source, SourceField,
    Thinking, Tool, ToolChoice,
};
use crate::wire::openai::{
    self, ChatRequest, FilePart, Function, FunctionCall, JsonSchema, MediaUrl, Part,
    ResponseFormat, ResponseFormatType, Role, Stop, ThinkingType, ToolCall, ToolChoiceFunction,
    ToolChoiceObject,
};

/// The chat request.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that chat cannot express.
pub(super) fn chat<'a>(
    req: &'a MessagesRequest<'_>,
    dropped: &mut Dropped,
) -> Result<ChatRequest<'a>> {
    let mut messages: Vec<openai::Message<'a>> = Vec::new();
    if let Some(text) = req.system.as_ref().map(|s| texts(s, "system[]", dropped)) {
        messages.extend((!text.is_empty()).then(|| plain(Role::System, text)));
    }
    for (index, message) in req.messages.iter().flatten().enumerate() {
        add(message, index, &mut messages, dropped)?;
    }
    let tools = tools(req.tools.as_deref().unwrap_or_default(), dropped);
    let choice = req.tool_choice.as_ref().filter(|_| !tools.is_empty());
    let tool_choice = choice.and_then(tool_choice);
    dropped.note(
        "tool_choice",
        req.tool_choice.is_some() && tool_choice.is_none(),
    );
    dropped.note("service_tier", req.service_tier.is_some());
    dropped.note("anthropic_beta", req.anthropic_beta.is_some());
    let response_format = req.output_config.as_ref().and_then(response_format);
    let format = req.output_config.as_ref().and_then(|c| c.format.as_ref());
    let lost = format.is_some() && response_format.is_none();
    dropped.note("output_config.format", lost);
    Ok(ChatRequest {
        messages: Some(messages),
        max_completion_tokens: req.max_tokens.map(whole),
        temperature: req.temperature,
        top_p: req.top_p,
        top_k: req.top_k,
        stop: stop(req),
        tool_choice,
        parallel_tool_calls: choice
            .and_then(|choice| choice.disable_parallel_tool_use)
            .filter(|disabled| *disabled)
            .map(|_| false),
        tools: (!tools.is_empty()).then_some(tools),
        thinking: req.thinking.as_ref().and_then(|t| thinking(t, dropped)),
        response_format,
        reasoning_effort: req.output_config.as_ref().and_then(effort),
        user: user(req),
        ..ChatRequest::default()
    })
}

/// Token limits are whole; what is above the range means no limit anyway.
#[expect(clippy::cast_possible_truncation, reason = "saturates, which is meant")]
fn whole(number: f64) -> i64 {
    number as i64
}

fn user<'a>(req: &'a MessagesRequest<'_>) -> Option<Text<'a>> {
    let id = req.metadata.as_ref()?.user_id.as_deref()?;
    (!id.is_empty()).then(|| id.into())
}

fn stop<'a>(req: &'a MessagesRequest<'_>) -> Option<Stop<'a>> {
    let all = req.stop_sequences.as_deref().unwrap_or_default();
    (!all.is_empty()).then(|| Stop::Many(all.iter().map(|one| Text::from(&**one)).collect()))
}

fn thinking<'a>(thinking: &'a Thinking<'_>, dropped: &mut Dropped) -> Option<openai::Thinking<'a>> {
    dropped.note("thinking.display", thinking.display.is_some());
    let r#type = match &*thinking.r#type {
        "enabled" => ThinkingType::Enabled,
        "disabled" => ThinkingType::Disabled,
        "adaptive" => ThinkingType::Adaptive,
        _ => {
            dropped.note("thinking", true);
            return None;
        }
    };
    Some(openai::Thinking {
        r#type,
        budget_tokens: thinking
            .budget_tokens
            .filter(|_| r#type == ThinkingType::Enabled),
        display: None,
        // Anthropic shows the thinking that is asked for, unless told otherwise.
        include_thoughts: (r#type != ThinkingType::Disabled
            && thinking.display.as_deref() != Some("omitted"))
        .then_some(true),
    })
}

fn effort<'a>(config: &'a OutputConfig<'_>) -> Option<Text<'a>> {
    let effort = config.effort.as_deref()?;
    (!effort.is_empty()).then(|| effort.into())
}

fn response_format<'a>(config: &'a OutputConfig<'_>) -> Option<ResponseFormat<'a>> {
    let format = config
        .format
        .as_ref()
        .filter(|f| f.r#type == "json_schema")?;
    Some(ResponseFormat {
        r#type: ResponseFormatType::JsonSchema,
        json_schema: Some(JsonSchema {
            // OpenAI wants a name; Anthropic has none.
            name: Some("output".into()),
            description: None,
            strict: Some(true),
            schema: format.schema,
        }),
    })
}

// --- tools ---

fn tools<'a>(tools: &'a [Tool<'_>], dropped: &mut Dropped) -> Vec<openai::Tool<'a>> {
    let mut all = Vec::with_capacity(tools.len());
    for tool in tools {
        if tool.is_custom() {
            all.push(function(tool, dropped));
        } else {
            dropped.note_kind("tools[]", tool.r#type.as_deref().unwrap_or_default());
        }
    }
    all
}

fn function<'a>(tool: &'a Tool<'_>, dropped: &mut Dropped) -> openai::Tool<'a> {
    dropped.note(
        "tools[].cache_control",
        tool.cache_control
            .as_ref()
            .is_some_and(CacheControl::is_enabled),
    );
    openai::Tool {
        r#type: "function".into(),
        function: Some(Function {
            name: tool.name.as_deref().unwrap_or_default().into(),
            description: tool.description.as_deref().map(Text::from),
            strict: tool.strict,
            parameters: tool.input_schema,
            cache_control: None,
        }),
        google_search: None,
    }
}

fn tool_choice<'a>(choice: &'a ToolChoice<'_>) -> Option<openai::ToolChoice<'a>> {
    match &*choice.r#type {
        "auto" => Some(openai::ToolChoice::Word("auto".into())),
        "none" => Some(openai::ToolChoice::Word("none".into())),
        "any" => Some(openai::ToolChoice::Word("required".into())),
        "tool" => Some(openai::ToolChoice::Object(ToolChoiceObject {
            r#type: "function".into(),
            function: ToolChoiceFunction {
                name: choice.name.as_deref().unwrap_or_default().into(),
            },
        })),
        _ => None,
    }
}

// --- messages ---

/// Where a block is, for errors and names of dropped fields.
#[derive(Clone, Copy)]
struct Place {
    message: usize,
    block: usize,
}

impl Place {
    /// Chat has no words for it.
    fn refuse(self, why: &str) -> Error {
        let Self { message, block } = self;
        Error::Untranslatable(format!("messages[{message}].content[{block}]: {why}"))
    }

    /// Anthropic does not take it either.
    fn malformed(self, what: &str) -> Error {
        let Self { message, block } = self;
        Error::MalformedRequest(format!(
            "failed to parse JSON for /v1/messages: messages[{message}].content[{block}].{what}"
        ))
    }
}

fn plain(role: Role, text: Text<'_>) -> openai::Message<'_> {
    openai::Message {
        content: Some(openai::Content::Text(text)),
        ..empty(role)
    }
}

fn empty<'a>(role: Role) -> openai::Message<'a> {
    openai::Message {
        role,
        name: None,
        content: None,
        tool_calls: None,
        tool_call_id: None,
        thinking_blocks: None,
        reasoning_content: None,
        cache_control: None,
    }
}

fn add<'a>(
    message: &'a Message<'_>,
    index: usize,
    to: &mut Vec<openai::Message<'a>>,
    dropped: &mut Dropped,
) -> Result<()> {
    match &*message.role {
        "user" => add_user(message, index, to, dropped),
        "assistant" => add_assistant(message, index, to, dropped),
        "system" => {
            let content = message.content.as_ref();
            let text = content.map_or_else(Text::default, |c| texts(c, CONTENT, dropped));
            to.extend((!text.is_empty()).then(|| plain(Role::System, text)));
            Ok(())
        }
        _ => Err(Error::Untranslatable(format!(
            "messages[{index}].role: user, assistant or system is expected"
        ))),
    }
}

/// The texts of a content, joined; other blocks are noted as fields of `place`.
fn texts<'a>(content: &'a Content<'_>, place: &str, dropped: &mut Dropped) -> Text<'a> {
    let blocks = match content {
        Content::Text(text) => return (&**text).into(),
        Content::Blocks(blocks) => blocks,
    };
    let mut joined = Cow::Borrowed("");
    for block in blocks {
        note_cache(block, place, dropped);
        if block.r#type == "text" {
            append(&mut joined, block.text.as_deref().unwrap_or_default());
        } else {
            note_block(block, place, dropped);
        }
    }
    joined.into()
}

fn append<'a>(to: &mut Cow<'a, str>, text: &'a str) {
    if to.is_empty() {
        *to = Cow::Borrowed(text);
    } else {
        to.to_mut().push_str(text);
    }
}

/// Blocks of a message.
const CONTENT: &str = "messages[].content[]";
/// Blocks of a tool's result.
const RESULT: &str = "messages[].content[].content[]";

fn note_cache(block: &Block<'_>, place: &str, dropped: &mut Dropped) {
    let marker = block.cache_control.as_ref();
    if marker.is_some_and(CacheControl::is_enabled) {
        dropped.note(&format!("{place}.cache_control"), true);
    }
}

fn note_block(block: &Block<'_>, place: &str, dropped: &mut Dropped) {
    dropped.note_kind(place, &block.r#type);
}

// --- user ---

/// Results of tools come first, each a message of its own; the rest is one user message.
fn add_user<'a>(
    message: &'a Message<'_>,
    index: usize,
    to: &mut Vec<openai::Message<'a>>,
    dropped: &mut Dropped,
) -> Result<()> {
    let blocks = match &message.content {
        None => return Ok(()),
        Some(Content::Text(text)) => {
            to.extend((!text.is_empty()).then(|| plain(Role::User, (&**text).into())));
            return Ok(());
        }
        Some(Content::Blocks(blocks)) => blocks,
    };
    let mut parts = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let place = Place {
            message: index,
            block: at,
        };
        note_cache(block, CONTENT, dropped);
        if block.r#type == "tool_result" {
            to.push(tool_result(block, place, &mut parts, dropped)?);
        } else {
            match part(block, place)? {
                Some(part) => parts.push(part),
                None => note_block(block, CONTENT, dropped),
            }
        }
    }
    to.extend(match (parts.len(), blocks.iter().any(holds_document)) {
        (2.., true) => Some(in_parts(Role::User, parts)),
        _ => user_message(parts),
    });
    Ok(())
}

/// Text of a document must not run into the text beside it.
fn holds_document(block: &Block<'_>) -> bool {
    match &block.content {
        Some(Content::Blocks(items)) if block.r#type == "tool_result" => {
            items.iter().any(|item| item.r#type == "document")
        }
        _ => block.r#type == "document",
    }
}

fn in_parts(role: Role, parts: Vec<Part<'_>>) -> openai::Message<'_> {
    openai::Message {
        content: Some(openai::Content::Parts(parts)),
        ..empty(role)
    }
}

fn tool_result<'a>(
    block: &'a Block<'_>,
    place: Place,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<openai::Message<'a>> {
    let Some(id) = block.tool_use_id.as_deref() else {
        return Err(place.refuse("tool_use_id: required"));
    };
    dropped.note(
        "messages[].content[].is_error",
        block.is_error == Some(true),
    );
    let mut text = Cow::Borrowed("");
    match &block.content {
        None => {}
        Some(Content::Text(only)) => append(&mut text, only),
        Some(Content::Blocks(items)) => {
            for item in items {
                note_cache(item, RESULT, dropped);
                match item.r#type.as_ref() {
                    "text" => append(&mut text, item.text.as_deref().unwrap_or_default()),
                    // Only text fits into the message of a tool.
                    "image" | "document" => parts.extend(part(item, place)?),
                    _ => note_block(item, RESULT, dropped),
                }
            }
        }
    }
    Ok(openai::Message {
        tool_call_id: Some(id.into()),
        ..plain(Role::Tool, text.into())
    })
}

/// `None`: a block of a kind that chat does not have.
fn part<'a>(block: &'a Block<'_>, place: Place) -> Result<Option<Part<'a>>> {
    match &*block.r#type {
        "text" => Ok(Some(text_part(block.text.as_deref().unwrap_or_default()))),
        "image" => image(block, place).map(Some),
        "document" => document(block, place).map(Some),
        _ => Ok(None),
    }
}

fn text_part(text: &str) -> Part<'_> {
    Part {
        r#type: Some("text".into()),
        text: Some(text.into()),
        ..Part::default()
    }
}

fn source<'a>(block: &'a Block<'_>, place: Place) -> Result<&'a Source<'a>> {
    match &block.source {
        Some(SourceField::Object(source)) if source.r#type.is_empty() => {
            Err(place.malformed("source.type: a string is expected"))
        }
        Some(SourceField::Object(source)) => Ok(source),
        None | Some(SourceField::Name) => Err(place.malformed("source: an object is expected")),
    }
}

fn image<'a>(block: &'a Block<'_>, place: Place) -> Result<Part<'a>> {
    let source = source(block, place)?;
    let url = match &*source.r#type {
        "base64" => data_uri(source, place)?,
        "url" => source.url.as_deref().unwrap_or_default().into(),
        _ => return Err(place.refuse("source.type: base64 or url is expected")),
    };
    Ok(Part {
        r#type: Some("image_url".into()),
        image_url: Some(MediaUrl { url, detail: None }),
        ..Part::default()
    })
}

fn document<'a>(block: &'a Block<'_>, place: Place) -> Result<Part<'a>> {
    let source = source(block, place)?;
    match &*source.r#type {
        "text" => Ok(text_part(source.data.as_deref().unwrap_or_default())),
        "base64" => Ok(Part {
            r#type: Some("file".into()),
            file: Some(FilePart {
                file_data: Some(data_uri(source, place)?),
                file_id: None,
                filename: Some(block.title.as_deref().unwrap_or("document.pdf").into()),
            }),
            ..Part::default()
        }),
        _ => Err(place.refuse("source.type: only inline documents are supported")),
    }
}

fn data_uri<'a>(source: &'a Source<'_>, place: Place) -> Result<Text<'a>> {
    let (Some(media_type), Some(data)) = (&source.media_type, &source.data) else {
        return Err(place.refuse("source: media_type and data are required"));
    };
    Ok(format!("data:{media_type};base64,{data}").into())
}

/// Texts alone are a string, which every server reads.
fn user_message(parts: Vec<Part<'_>>) -> Option<openai::Message<'_>> {
    if parts.iter().any(|part| part.text.is_none()) {
        return Some(in_parts(Role::User, parts));
    }
    let mut text = Cow::Borrowed("");
    for part in parts {
        let piece = part.text.unwrap_or_default().into_cow();
        if text.is_empty() {
            text = piece;
        } else {
            text.to_mut().push_str(&piece);
        }
    }
    (!text.is_empty()).then(|| plain(Role::User, text.into()))
}

// --- assistant ---

fn add_assistant<'a>(
    message: &'a Message<'_>,
    index: usize,
    to: &mut Vec<openai::Message<'a>>,
    dropped: &mut Dropped,
) -> Result<()> {
    let blocks = match &message.content {
        None => &[][..],
        Some(Content::Text(text)) => {
            let content = (!text.is_empty()).then(|| openai::Content::Text((&**text).into()));
            to.push(openai::Message {
                content,
                ..empty(Role::Assistant)
            });
            return Ok(());
        }
        Some(Content::Blocks(blocks)) => blocks,
    };
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let place = Place {
            message: index,
            block: at,
        };
        note_cache(block, CONTENT, dropped);
        match &*block.r#type {
            "text" => parts.push(text_part(block.text.as_deref().unwrap_or_default())),
            "thinking" | "redacted_thinking" => parts.push(thought(block)),
            "tool_use" => calls.push(tool_call(block, place)?),
            _ => note_block(block, CONTENT, dropped),
        }
    }
    to.push(openai::Message {
        content: assistant_content(parts),
        tool_calls: (!calls.is_empty()).then_some(calls),
        ..empty(Role::Assistant)
    });
    Ok(())
}

fn assistant_content(parts: Vec<Part<'_>>) -> Option<openai::Content<'_>> {
    if parts
        .iter()
        .any(|part| part.r#type.as_deref() != Some("text"))
    {
        return Some(openai::Content::Parts(parts));
    }
    user_message(parts)?.content
}

/// Thinking of earlier turns, signature included, as chat parts that our chat translators read.
fn thought<'a>(block: &'a Block<'_>) -> Part<'a> {
    let given = |text: &'a Option<Text<'_>>| text.as_deref().map(Text::from);
    if block.r#type == "redacted_thinking" {
        return Part {
            r#type: Some("redacted_thinking".into()),
            redacted_content: given(&block.data),
            ..Part::default()
        };
    }
    Part {
        r#type: Some("thinking".into()),
        text: given(&block.thinking),
        signature: given(&block.signature),
        ..Part::default()
    }
}

fn tool_call<'a>(block: &'a Block<'_>, place: Place) -> Result<ToolCall<'a>> {
    let Some(id) = block.id.as_deref() else {
        return Err(place.refuse("id: required"));
    };
    let input = block.input.map_or("{}", |input| input.get());
    if !input.starts_with('{') {
        return Err(place.malformed("input: an object is expected"));
    }
    Ok(ToolCall {
        id: Some(id.into()),
        r#type: Some("function".into()),
        function: Some(FunctionCall {
            name: block.name.as_deref().unwrap_or_default().into(),
            arguments: input.into(),
        }),
        cache_control: None,
    })
}
