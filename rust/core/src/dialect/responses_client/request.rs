//! A Responses request as a chat request.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Thought;
use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::openai::{
    self, ChatRequest, FilePart, Function, FunctionCall, InputAudio, JsonSchema, MediaUrl, Raw,
    ResponseFormat, ResponseFormatType, Role, ToolCall, ToolChoice, ToolChoiceFunction,
    ToolChoiceObject,
};
use crate::wire::responses::{
    Contents, Input, Item, NamedChoice, Part, Reasoning, ResponsesRequest, TextConfig, Tool,
};
use crate::wire::{Loose, Text};

/// What a reply repeats of its request.
#[derive(Default)]
pub(super) struct Echo {
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<i64>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) user: Option<String>,
    pub(super) metadata: Option<Box<RawValue>>,
    pub(super) reasoning: Option<Box<RawValue>>,
    pub(super) text: Option<Box<RawValue>>,
    pub(super) tools: Option<Box<RawValue>>,
    pub(super) tool_choice: Option<Box<RawValue>>,
    /// The client wants reasoning back in a form that it can send again.
    pub(super) seals: bool,
}

impl Echo {
    pub(super) fn of(req: &ResponsesRequest<'_>) -> Self {
        let own = |raw: Option<Raw<'_>>| raw.map(ToOwned::to_owned);
        let includes = |name: &str| req.include.iter().flatten().any(|one| one == name);
        Self {
            instructions: match &req.instructions {
                Some(Input::Text(text)) => Some(text.to_string()),
                _ => None,
            },
            max_output_tokens: req.max_output_tokens,
            parallel_tool_calls: req.parallel_tool_calls,
            temperature: req.temperature,
            top_p: req.top_p,
            user: req.user.as_deref().map(str::to_owned),
            metadata: own(req.metadata),
            reasoning: own(req.reasoning),
            text: own(req.text),
            tools: own(req.tools),
            tool_choice: own(req.tool_choice),
            seals: includes("reasoning.encrypted_content"),
        }
    }
}

/// The chat request.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that chat cannot express,
/// [`Error::MalformedRequest`] for members of a wrong form.
pub(super) fn chat<'a>(
    req: &'a ResponsesRequest<'_>,
    dropped: &mut Dropped,
) -> Result<ChatRequest<'a>> {
    check_memory(req)?;
    let text: TextConfig<'a> = read("text", req.text)?;
    let reasoning: Reasoning<'a> = read("reasoning", req.reasoning)?;
    let tools = tools(read("tools", req.tools)?, dropped);
    let truncates = req.truncation.as_deref() == Some("auto");
    dropped.note("truncation", truncates);
    dropped.note("max_tool_calls", req.max_tool_calls.is_some());
    let known = |one: &Text<'_>| one == "reasoning.encrypted_content";
    dropped.note("include", !req.include.iter().flatten().all(known));
    let mut turns = Turns::default();
    turns.instructions(req.instructions.as_ref(), dropped)?;
    turns.input(req.input.as_ref(), dropped)?;
    let tier = req.service_tier.as_deref().filter(|tier| *tier != "auto");
    Ok(ChatRequest {
        messages: Some(turns.finished()),
        max_completion_tokens: req.max_output_tokens,
        temperature: req.temperature,
        top_p: req.top_p,
        logprobs: req.top_logprobs.map(|_| true),
        top_logprobs: req.top_logprobs,
        tool_choice: choice(req.tool_choice, !tools.is_empty(), dropped)?,
        parallel_tool_calls: req.parallel_tool_calls.filter(|_| !tools.is_empty()),
        tools: (!tools.is_empty()).then_some(tools),
        reasoning_effort: reasoning.effort,
        verbosity: text.verbosity,
        response_format: text.format.map(format).transpose()?,
        service_tier: tier.map(Text::from),
        user: req.user.as_deref().map(Text::from),
        ..ChatRequest::default()
    })
}

/// Nothing is kept between requests.
fn check_memory(req: &ResponsesRequest<'_>) -> Result<()> {
    let needs = [
        ("previous_response_id", req.previous_response_id.is_some()),
        ("conversation", req.conversation.is_some()),
        ("prompt", req.prompt.is_some()),
        ("store", req.store == Some(true)),
        ("background", req.background == Some(true)),
    ];
    match needs.iter().find(|(_, needed)| *needed) {
        None => Ok(()),
        Some((name, _)) => Err(Error::Untranslatable(format!(
            "{name}: not supported by this backend, which remembers no responses"
        ))),
    }
}

/// A member in its own form; absent is empty.
fn read<'a, T: Deserialize<'a> + Default>(name: &str, raw: Option<Raw<'a>>) -> Result<T> {
    let Some(raw) = raw else {
        return Ok(T::default());
    };
    serde_json::from_str(raw.get()).map_err(|_| {
        Error::MalformedRequest(format!(
            "failed to parse JSON for /v1/responses: {name}: unexpected value"
        ))
    })
}

fn format(format: crate::wire::responses::Format<'_>) -> Result<ResponseFormat<'_>> {
    let (r#type, json_schema) = match format.r#type.as_ref() {
        "text" => (ResponseFormatType::Text, None),
        "json_object" => (ResponseFormatType::JsonObject, None),
        "json_schema" => (
            ResponseFormatType::JsonSchema,
            Some(JsonSchema {
                name: format.name,
                description: format.description,
                strict: format.strict,
                schema: format.schema,
            }),
        ),
        _ => {
            return Err(Error::Untranslatable(
                "text.format.type: text, json_object or json_schema is expected".into(),
            ));
        }
    };
    Ok(ResponseFormat {
        r#type,
        json_schema,
    })
}

// --- tools ---

fn tools<'a>(tools: Vec<Tool<'a>>, dropped: &mut Dropped) -> Vec<openai::Tool<'a>> {
    let mut all = Vec::with_capacity(tools.len());
    for tool in tools {
        if tool.r#type != "function" {
            dropped.note(&format!("tools[].{}", name_of(&tool.r#type)), true);
            continue;
        }
        all.push(openai::Tool {
            r#type: "function".into(),
            function: Some(Function {
                name: tool.name.unwrap_or_default(),
                description: tool.description,
                strict: tool.strict,
                parameters: tool.parameters,
                cache_control: None,
            }),
            google_search: None,
        });
    }
    all
}

/// A client's word as part of a name: short and of few characters.
fn name_of(word: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    word.chars().filter(allowed).take(48).collect()
}

fn choice<'a>(
    raw: Option<Raw<'a>>,
    has_tools: bool,
    dropped: &mut Dropped,
) -> Result<Option<ToolChoice<'a>>> {
    let Some(raw) = raw.filter(|_| has_tools) else {
        return Ok(None);
    };
    if raw.get().starts_with('"') {
        let word: Text<'a> = read("tool_choice", Some(raw))?;
        return Ok(Some(ToolChoice::Word(word)));
    }
    let choice: NamedChoice<'a> = read("tool_choice", Some(raw))?;
    if choice.r#type != "function" {
        dropped.note("tool_choice", true);
        return Ok(None);
    }
    Ok(Some(ToolChoice::Object(ToolChoiceObject {
        r#type: "function".into(),
        function: ToolChoiceFunction {
            name: choice.name.unwrap_or_default(),
        },
    })))
}

// --- input ---

/// Messages so far. What an assistant thought, said and called belongs into one.
#[derive(Default)]
struct Turns<'a> {
    messages: Vec<openai::Message<'a>>,
    assistant: Option<Assistant<'a>>,
}

#[derive(Default)]
struct Assistant<'a> {
    parts: Vec<openai::Part<'a>>,
    calls: Vec<ToolCall<'a>>,
}

impl<'a> Turns<'a> {
    fn instructions(
        &mut self,
        instructions: Option<&'a Input<'_>>,
        dropped: &mut Dropped,
    ) -> Result<()> {
        match instructions {
            None => Ok(()),
            Some(Input::Text(text)) => {
                let text = openai::Content::Text((&**text).into());
                self.push(Role::System, Some(text));
                Ok(())
            }
            Some(items) => self.input(Some(items), dropped),
        }
    }

    fn input(&mut self, input: Option<&'a Input<'_>>, dropped: &mut Dropped) -> Result<()> {
        match input {
            None => {}
            Some(Input::Text(text)) => {
                let text = openai::Content::Text((&**text).into());
                self.push(Role::User, Some(text));
            }
            Some(Input::Items(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.item(item, index, dropped)?;
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &'a Item<'_>, index: usize, dropped: &mut Dropped) -> Result<()> {
        match item.r#type.as_deref().unwrap_or("message") {
            "message" | "" => self.message(item, index, dropped),
            "function_call" => {
                let id = required(item.call_id.as_ref(), index, "call_id")?;
                let arguments = match &item.arguments {
                    None => "{}",
                    given => required(given.as_ref(), index, "arguments")?,
                };
                self.open().calls.push(ToolCall {
                    id: Some(id.into()),
                    r#type: Some("function".into()),
                    function: Some(FunctionCall {
                        name: required(item.name.as_ref(), index, "name")?.into(),
                        arguments: arguments.into(),
                    }),
                    cache_control: None,
                });
                Ok(())
            }
            "function_call_output" => {
                let id = required(item.call_id.as_ref(), index, "call_id")?;
                let output = item.output.as_ref();
                let output = output.map(|output| content_of(output, index, "output"));
                let content = output
                    .transpose()?
                    .unwrap_or(openai::Content::Text("".into()));
                self.close();
                self.messages.push(openai::Message {
                    tool_call_id: Some(id.into()),
                    ..message(Role::Tool, Some(content))
                });
                Ok(())
            }
            "reasoning" => {
                self.reasoning(item, dropped);
                Ok(())
            }
            "item_reference" => Err(Error::Untranslatable(format!(
                "input[{index}]: references to items are not supported by this backend, which \
                 remembers no responses"
            ))),
            other => {
                dropped.note(&format!("input[].{}", name_of(other)), true);
                Ok(())
            }
        }
    }

    fn message(&mut self, item: &'a Item<'_>, index: usize, dropped: &mut Dropped) -> Result<()> {
        let role = match item.role.as_ref().and_then(Loose::text) {
            Some("user") => Role::User,
            Some("system") => Role::System,
            Some("developer") => Role::Developer,
            Some("assistant") => {
                let said = match &item.content {
                    None => Vec::new(),
                    Some(Contents::Text(text)) => vec![text_part(text)],
                    Some(Contents::Parts(parts)) => said(parts, dropped),
                    Some(Contents::Other) => return Err(no_content(index, "content")),
                };
                self.open().parts.extend(said);
                return Ok(());
            }
            _ => {
                return Err(Error::Untranslatable(format!(
                    "input[{index}].role: user, system, developer or assistant is expected"
                )));
            }
        };
        let content = item.content.as_ref();
        let content = content.map(|found| content_of(found, index, "content"));
        self.push(role, content.transpose()?);
        Ok(())
    }

    fn reasoning(&mut self, item: &'a Item<'_>, dropped: &mut Dropped) {
        let sealed = item.encrypted_content.as_ref().and_then(Loose::text);
        let Some(thought) = sealed.and_then(Thought::opened) else {
            dropped.note("input[].reasoning", true);
            return;
        };
        let texts = item.summary.iter().flatten();
        let text: String = texts.filter_map(|part| part.text.as_deref()).collect();
        let parts = &mut self.open().parts;
        if let Some(data) = thought.redacted {
            parts.push(openai::Part {
                r#type: Some("redacted_thinking".into()),
                redacted_content: Some(data.into()),
                ..openai::Part::default()
            });
        } else {
            parts.push(openai::Part {
                r#type: Some("thinking".into()),
                text: Some(text.into()),
                signature: thought.signature.map(Text::from),
                ..openai::Part::default()
            });
        }
    }

    fn open(&mut self) -> &mut Assistant<'a> {
        self.assistant.get_or_insert_default()
    }

    fn close(&mut self) {
        let Some(assistant) = self.assistant.take() else {
            return;
        };
        let only_text = |part: &openai::Part<'_>| part.r#type.as_deref() == Some("text");
        let mut parts = assistant.parts;
        let content = match parts.as_mut_slice() {
            [] => None,
            [one] if only_text(one) => one.text.take().map(openai::Content::Text),
            _ => Some(openai::Content::Parts(parts)),
        };
        self.messages.push(openai::Message {
            tool_calls: (!assistant.calls.is_empty()).then_some(assistant.calls),
            ..message(Role::Assistant, content)
        });
    }

    fn push(&mut self, role: Role, content: Option<openai::Content<'a>>) {
        self.close();
        self.messages.push(message(role, content));
    }

    fn finished(mut self) -> Vec<openai::Message<'a>> {
        self.close();
        self.messages
    }
}

fn message(role: Role, content: Option<openai::Content<'_>>) -> openai::Message<'_> {
    openai::Message {
        role,
        name: None,
        content,
        tool_calls: None,
        tool_call_id: None,
        thinking_blocks: None,
        reasoning_content: None,
        cache_control: None,
    }
}

fn required<'a>(value: Option<&'a Loose<'_>>, index: usize, name: &str) -> Result<&'a str> {
    value.and_then(Loose::text).ok_or_else(|| {
        Error::Untranslatable(format!("input[{index}].{name}: a string is required"))
    })
}

fn no_content(index: usize, member: &str) -> Error {
    Error::Untranslatable(format!(
        "input[{index}].{member}: a text or parts are expected"
    ))
}

fn text_part(text: &str) -> openai::Part<'_> {
    openai::Part {
        r#type: Some("text".into()),
        text: Some(text.into()),
        ..openai::Part::default()
    }
}

/// What the assistant said before: texts and refusals.
fn said<'a>(parts: &'a [Part<'_>], dropped: &mut Dropped) -> Vec<openai::Part<'a>> {
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let kind = part.r#type.as_deref().unwrap_or_default();
        match (kind, &part.text, &part.refusal) {
            ("output_text" | "input_text" | "text", Some(text), _) => all.push(text_part(text)),
            ("refusal", _, Some(text)) => all.push(openai::Part {
                r#type: Some("refusal".into()),
                refusal: Some((&**text).into()),
                ..openai::Part::default()
            }),
            _ => dropped.note(&format!("input[].content[].{}", name_of(kind)), true),
        }
    }
    all
}

fn content_of<'a>(
    contents: &'a Contents<'_>,
    index: usize,
    member: &str,
) -> Result<openai::Content<'a>> {
    let parts = match contents {
        Contents::Text(text) => return Ok(openai::Content::Text((&**text).into())),
        Contents::Parts(parts) => parts,
        Contents::Other => return Err(no_content(index, member)),
    };
    let mut all = Vec::with_capacity(parts.len());
    for (at, found) in parts.iter().enumerate() {
        all.push(part(found, &format!("input[{index}].{member}[{at}]"))?);
    }
    Ok(if all.is_empty() {
        openai::Content::Text("".into())
    } else {
        openai::Content::Parts(all)
    })
}

fn part<'a>(found: &'a Part<'_>, place: &str) -> Result<openai::Part<'a>> {
    match found.r#type.as_deref().unwrap_or_default() {
        "input_text" | "output_text" | "text" => {
            Ok(text_part(found.text.as_deref().unwrap_or_default()))
        }
        "input_image" => image(found, place),
        "input_file" => file(found, place),
        "input_audio" => audio(found, place),
        "input_video" => video(found, place),
        other => Err(Error::Untranslatable(format!(
            "{place}.type: {} is not supported by this backend",
            name_of(other)
        ))),
    }
}

fn audio<'a>(part: &'a Part<'_>, place: &str) -> Result<openai::Part<'a>> {
    let Some(audio) = &part.input_audio else {
        let text = format!("{place}.input_audio: required");
        return Err(Error::Untranslatable(text));
    };
    Ok(openai::Part {
        r#type: Some("input_audio".into()),
        input_audio: Some(InputAudio {
            data: (&*audio.data).into(),
            format: (&*audio.format).into(),
        }),
        ..openai::Part::default()
    })
}

fn video<'a>(part: &'a Part<'_>, place: &str) -> Result<openai::Part<'a>> {
    let Some(url) = part.video_url.as_deref() else {
        return Err(Error::Untranslatable(format!(
            "{place}.video_url: required"
        )));
    };
    Ok(openai::Part {
        r#type: Some("video_url".into()),
        video_url: Some(MediaUrl {
            url: url.into(),
            detail: None,
        }),
        ..openai::Part::default()
    })
}

fn image<'a>(part: &'a Part<'_>, place: &str) -> Result<openai::Part<'a>> {
    let Some(url) = part.image_url.as_deref() else {
        let text = format!("{place}.image_url: required; files by id are not supported");
        return Err(Error::Untranslatable(text));
    };
    Ok(openai::Part {
        r#type: Some("image_url".into()),
        image_url: Some(MediaUrl {
            url: url.into(),
            detail: part.detail.as_deref().map(Text::from),
        }),
        ..openai::Part::default()
    })
}

fn file<'a>(part: &'a Part<'_>, place: &str) -> Result<openai::Part<'a>> {
    let Some(data) = part.file_data.as_deref() else {
        let text = format!("{place}.file_data: required; only inline files are supported");
        return Err(Error::Untranslatable(text));
    };
    Ok(openai::Part {
        r#type: Some("file".into()),
        file: Some(FilePart {
            file_data: Some(data.into()),
            file_id: None,
            filename: part.filename.as_deref().map(Text::from),
        }),
        ..openai::Part::default()
    })
}
