//! A Messages request as a Converse request.
//!
//! Mapped with a loss, by contract: `system` messages go to the front.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parts::{Names, Place, document_format, image_format, mark};
use super::redacted::to_bytes;
use super::request::refuse;
use super::tools::{empty_object, empty_schema, is_object, uses_tools};
use crate::dialect::claude::{UNSIGNED, aws_betas, is_claude};
use crate::dialect::data_uri::base64_text;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::translate::Dropped;
use crate::wire::anthropic_client::{
    self as client, Block as From, CacheControl, Content, MessagesRequest, SourceField,
};
use crate::wire::bedrock::{
    AdditionalFields, Block, CachePoint, ConverseRequest, Document, Empty, Image, InferenceConfig,
    InputSchema, Message, Reasoning, ReasoningText, ResultBlock, Source, SystemBlock, Text,
    Thinking, Tool, ToolChoice, ToolConfig, ToolName, ToolResult, ToolSpec, ToolUse,
};

/// The Converse request of a Messages request for `model`. `head` has the beta flags.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that Converse cannot express.
pub(crate) fn messages_request<'a>(
    req: &'a MessagesRequest<'_>,
    model: &str,
    head: &Headers,
    dropped: &mut Dropped,
) -> Result<ConverseRequest<'a>> {
    let mut turns = Turns {
        claude: is_claude(model),
        system: Vec::new(),
        messages: Vec::new(),
        names: Names::default(),
        dropped,
    };
    turns.system(req.system.as_ref());
    for (index, message) in req.messages.iter().flatten().enumerate() {
        turns.add(message, index)?;
    }
    let (system, messages) = (turns.system, turns.messages);
    dropped.note("service_tier", req.service_tier.is_some());
    dropped.note("metadata", req.metadata.is_some());
    Ok(ConverseRequest {
        additional_model_request_fields: additional_fields(req, model, head, dropped),
        inference_config: InferenceConfig {
            max_tokens: req.max_tokens.map(whole),
            stop_sequences: req
                .stop_sequences
                .iter()
                .flatten()
                .map(AsRef::as_ref)
                .collect(),
            temperature: req.temperature,
            top_p: req.top_p,
        },
        tool_config: tool_config(req, &messages, dropped)?,
        system,
        messages,
        service_tier: None,
    })
}

/// Token limits are whole; what is above the range means no limit anyway.
#[expect(clippy::cast_possible_truncation, reason = "saturates, which is meant")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// What only some models know. Claude's own features are told to Claude only.
fn additional_fields<'a>(
    req: &'a MessagesRequest<'_>,
    model: &str,
    head: &Headers,
    dropped: &mut Dropped,
) -> Option<AdditionalFields<'a>> {
    let claude = is_claude(model);
    let (betas, complete) = aws_betas(req.anthropic_beta, head);
    dropped.note("anthropic_beta", !complete || !(claude || betas.is_empty()));
    dropped.note("output_config", req.output_config.is_some() && !claude);
    let fields = AdditionalFields {
        thinking: req
            .thinking
            .as_ref()
            .and_then(|one| thinking(one, claude, dropped)),
        reasoning_config: None,
        top_k: req.top_k,
        output_config: req.output_config.as_ref().filter(|_| claude),
        anthropic_beta: if claude { betas } else { Vec::new() },
    };
    (!fields.is_empty()).then_some(fields)
}

fn thinking<'a>(
    thinking: &'a client::Thinking<'_>,
    claude: bool,
    dropped: &mut Dropped,
) -> Option<Thinking<'a>> {
    let display = thinking.display.as_deref().filter(|word| !word.is_empty());
    let shown = |r#type, budget_tokens, display| {
        Some(Thinking {
            r#type,
            budget_tokens,
            display,
        })
    };
    dropped.note("thinking.display", display.is_some() && !claude);
    let display = display.filter(|_| claude);
    match &*thinking.r#type {
        "enabled" => shown(
            "enabled",
            Some(thinking.budget_tokens.unwrap_or(0)),
            display,
        ),
        "disabled" => shown("disabled", None, None),
        "adaptive" if claude => shown("adaptive", None, display),
        _ => {
            dropped.note("thinking", true);
            None
        }
    }
}

/// The marker behind a block.
fn cache_point<'a>(marker: Option<&'a CacheControl<'_>>) -> Option<CachePoint<'a>> {
    let marker = marker.filter(|marker| marker.is_enabled())?;
    Some(CachePoint {
        r#type: "default",
        ttl: marker
            .ttl
            .as_deref()
            .filter(|ttl| matches!(*ttl, "5m" | "1h")),
    })
}

// --- tools ---

fn tool_config<'a>(
    req: &'a MessagesRequest<'_>,
    messages: &[Message<'_>],
    dropped: &mut Dropped,
) -> Result<Option<ToolConfig<'a>>> {
    let mut tools = Vec::new();
    for (index, tool) in req.tools.iter().flatten().enumerate() {
        if tool.is_custom() {
            dropped.note("tools[].strict", tool.strict == Some(true));
            tools.push(Tool::ToolSpec(definition(tool, index)?));
        } else {
            dropped.note_kind("tools[]", tool.r#type.as_deref().unwrap_or_default());
        }
        let point = cache_point(tool.cache_control.as_ref());
        mark(&mut tools, point, Tool::CachePoint);
    }
    let choice = req.tool_choice.as_ref();
    let banned = choice.is_some_and(|choice| choice.r#type == "none");
    // Converse has no choice `none`, and insists on definitions for the tools of the past.
    if tools.is_empty() || banned && !uses_tools(messages) {
        return Ok(None);
    }
    let tool_choice = choice.map(tool_choice).transpose()?.flatten();
    dropped.note("tool_choice", choice.is_some() && tool_choice.is_none());
    let serial = choice.and_then(|choice| choice.disable_parallel_tool_use);
    dropped.note(
        "tool_choice.disable_parallel_tool_use",
        serial == Some(true),
    );
    Ok(Some(ToolConfig { tools, tool_choice }))
}

fn tool_choice<'a>(choice: &'a client::ToolChoice<'_>) -> Result<Option<ToolChoice<'a>>> {
    let name = choice.name.as_deref().filter(|name| !name.is_empty());
    Ok(match (&*choice.r#type, name) {
        ("auto", _) => Some(ToolChoice::Auto(Empty {})),
        ("any", _) => Some(ToolChoice::Any(Empty {})),
        ("tool", Some(name)) => Some(ToolChoice::Tool(ToolName { name })),
        ("tool", None) => return Err(refuse("tool_choice.name", "required")),
        _ => None,
    })
}

fn definition<'a>(tool: &'a client::Tool<'_>, index: usize) -> Result<ToolSpec<'a>> {
    let json = tool
        .input_schema
        .or_else(empty_schema)
        .filter(is_object)
        .ok_or_else(|| {
            refuse(
                format!("tools[{index}].input_schema"),
                "an object is expected",
            )
        })?;
    let description = tool.description.as_deref();
    Ok(ToolSpec {
        name: tool.name.as_deref().unwrap_or_default(),
        description: description.filter(|text| !text.is_empty()),
        input_schema: InputSchema { json },
    })
}

// --- messages ---

/// Turns so far, and the system blocks that stand before them.
struct Turns<'a, 'd> {
    /// The model is one of Anthropic's, which refuse thinking with an empty signature.
    claude: bool,
    system: Vec<SystemBlock<'a>>,
    messages: Vec<Message<'a>>,
    names: Names,
    dropped: &'d mut Dropped,
}

impl<'a> Turns<'a, '_> {
    fn system(&mut self, content: Option<&'a Content<'_>>) {
        match content {
            None => {}
            Some(Content::Text(text)) => {
                let text: &'a str = text;
                self.system
                    .extend((!text.is_empty()).then_some(SystemBlock::Text(text)));
            }
            Some(Content::Blocks(blocks)) => {
                for block in blocks {
                    match &*block.r#type {
                        "text" => self.system.extend(text(block).map(SystemBlock::Text)),
                        _ => self.note(block),
                    }
                    let point = cache_point(block.cache_control.as_ref());
                    mark(&mut self.system, point, SystemBlock::CachePoint);
                }
            }
        }
    }

    fn note(&mut self, block: &From<'_>) {
        self.dropped
            .note_kind("messages[].content[]", &block.r#type);
    }

    fn add(&mut self, message: &'a client::Message<'_>, index: usize) -> Result<()> {
        let role = match &*message.role {
            "system" => {
                self.system(message.content.as_ref());
                return Ok(());
            }
            "user" => "user",
            "assistant" => "assistant",
            other => {
                let role: String = other.chars().take(32).collect();
                return Err(Error::Untranslatable(format!("unexpected role: {role}")));
            }
        };
        let mut content = Vec::new();
        match &message.content {
            None => {}
            Some(Content::Text(text)) => {
                content.extend((!text.is_empty()).then_some(Block::Text(text)));
            }
            Some(Content::Blocks(blocks)) => {
                for (at, block) in blocks.iter().enumerate() {
                    let place = Place::new(index, at);
                    let made = match role {
                        "user" => self.user_block(block, place)?,
                        _ => self.assistant_block(block, place)?,
                    };
                    content.extend(made);
                    let thinks = matches!(&*block.r#type, "thinking" | "redacted_thinking");
                    let marker = block.cache_control.as_ref().filter(|_| !thinks);
                    mark(&mut content, cache_point(marker), Block::CachePoint);
                }
            }
        }
        self.push(role, content);
        Ok(())
    }

    /// The results of parallel calls belong into one turn.
    fn push(&mut self, role: &'static str, content: Vec<Block<'a>>) {
        if content.is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some(last) if only_results(&last.content) && only_results(&content) => {
                last.content.extend(content);
            }
            _ => self.messages.push(Message { content, role }),
        }
    }

    fn user_block(&mut self, block: &'a From<'_>, place: Place) -> Result<Option<Block<'a>>> {
        Ok(match &*block.r#type {
            "text" => text(block).map(Block::Text),
            "image" => Some(Block::Image(image(block, place)?)),
            "document" => Some(Block::Document(self.document(block, place)?)),
            "tool_result" => Some(Block::ToolResult(self.tool_result(block, place)?)),
            _ => {
                self.note(block);
                None
            }
        })
    }

    fn tool_result(&mut self, block: &'a From<'_>, place: Place) -> Result<ToolResult<'a>> {
        let mut content = Vec::new();
        match &block.content {
            None => {}
            Some(Content::Text(text)) => {
                content.extend((!text.is_empty()).then_some(ResultBlock::Text(text)));
            }
            Some(Content::Blocks(items)) => {
                for item in items {
                    match &*item.r#type {
                        "text" => content.extend(text(item).map(ResultBlock::Text)),
                        "image" => content.push(ResultBlock::Image(image(item, place)?)),
                        "document" => {
                            content.push(ResultBlock::Document(self.document(item, place)?));
                        }
                        _ => self.note(item),
                    }
                }
            }
        }
        let tool_use_id = block.tool_use_id.as_deref();
        Ok(ToolResult {
            tool_use_id: tool_use_id
                .ok_or_else(|| refuse(format!("{place}.tool_use_id"), "required"))?,
            content,
            status: (block.is_error == Some(true)).then_some("error"),
        })
    }

    fn document(&mut self, block: &'a From<'_>, place: Place) -> Result<Document<'a>> {
        let Some(SourceField::Object(source)) = &block.source else {
            return Err(refuse(format!("{place}.source"), "an object is expected"));
        };
        let data = source.data.as_deref().unwrap_or_default();
        let kind = source.media_type.as_deref().unwrap_or_default();
        let (format, bytes) = match &*source.r#type {
            "text" => ("txt", Text::from(STANDARD.encode(data))),
            "base64" => {
                let format = document_format(kind).ok_or_else(|| {
                    refuse(
                        format!("{place}.source.media_type"),
                        "unsupported document type",
                    )
                })?;
                (format, base64(data, place)?)
            }
            _ => {
                let why = "only inline documents are supported";
                return Err(refuse(format!("{place}.source.type"), why));
            }
        };
        Ok(Document {
            format,
            name: self.names.claim(block.title.as_deref().unwrap_or_default()),
            source: Source { bytes },
        })
    }

    fn assistant_block(&mut self, block: &'a From<'_>, place: Place) -> Result<Option<Block<'a>>> {
        Ok(match &*block.r#type {
            "text" => text(block).map(Block::Text),
            "thinking" if self.claude && block.signature.as_deref() == Some("") => {
                self.dropped.note(UNSIGNED, true);
                None
            }
            "thinking" => thought(block).map(Block::ReasoningContent),
            "redacted_thinking" => block
                .data
                .as_deref()
                .map(|data| Block::ReasoningContent(Reasoning::RedactedContent(to_bytes(data)))),
            "tool_use" => Some(Block::ToolUse(tool_use(block, place)?)),
            _ => {
                self.note(block);
                None
            }
        })
    }
}

fn only_results(content: &[Block<'_>]) -> bool {
    content
        .iter()
        .all(|block| matches!(block, Block::ToolResult(_) | Block::CachePoint(_)))
}

fn text<'a>(block: &'a From<'_>) -> Option<&'a str> {
    block.text.as_deref().filter(|text| !text.is_empty())
}

fn base64(data: &str, place: Place) -> Result<Text<'_>> {
    base64_text(data)
        .map(Text::from)
        .ok_or_else(|| refuse(format!("{place}.source.data"), "base64 is expected"))
}

fn image<'a>(block: &'a From<'_>, place: Place) -> Result<Image<'a>> {
    let source = match &block.source {
        Some(SourceField::Object(source)) if source.r#type == "base64" => source,
        _ => {
            let why = "only base64 image sources are supported";
            return Err(Error::Untranslatable(why.into()));
        }
    };
    let kind = source.media_type.as_deref().unwrap_or_default();
    let format = image_format(kind).ok_or_else(|| {
        let kind: String = kind.chars().take(64).collect();
        Error::Untranslatable(format!("unsupported image format {kind}"))
    })?;
    let bytes = base64(source.data.as_deref().unwrap_or_default(), place)?;
    Ok(Image {
        format,
        source: Source { bytes },
    })
}

/// Thinking whose text Claude keeps to itself has a signature alone.
fn thought<'a>(block: &'a From<'_>) -> Option<Reasoning<'a>> {
    let text = block.thinking.as_deref().unwrap_or_default();
    let signature = block.signature.as_deref().filter(|text| !text.is_empty());
    (signature.is_some() || !text.is_empty())
        .then_some(Reasoning::ReasoningText(ReasoningText { text, signature }))
}

fn tool_use<'a>(block: &'a From<'_>, place: Place) -> Result<ToolUse<'a>> {
    let input = block.input.or_else(empty_object);
    Ok(ToolUse {
        tool_use_id: block
            .id
            .as_deref()
            .ok_or_else(|| refuse(format!("{place}.id"), "required"))?,
        name: block.name.as_deref().unwrap_or_default(),
        input: input
            .filter(is_object)
            .ok_or_else(|| refuse(format!("{place}.input"), "an object is expected"))?,
    })
}
