//! An OpenAI chat request as a Messages request.

use super::{messages, tools};
use crate::error::{Error, Result};
use crate::translate::Dropped;
use crate::wire::anthropic::{
    MessagesRequest, Metadata, OutputConfig, OutputFormat, Raw, Thinking,
};
use crate::wire::openai::{self, ChatRequest, ResponseFormatType, Stop, ThinkingType};

/// `max_tokens` of a request that names none: OpenAI clients may leave it out, Anthropic does
/// not accept that. The smallest output limit of any Claude model; a thinking budget comes on
/// top because it counts into `max_tokens`.
const DEFAULT_MAX_TOKENS: i64 = 4096;

/// Levels of `output_config.effort`.
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// Optional members of a chat request that a Messages request carries.
const READ: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "thinking",
    "user",
    "messages[].reasoning_content",
];

/// What differs between the hosts of the Messages API.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// `model` member, where the path does not name it.
    pub(crate) model: Option<&'a str>,
    /// `stream` member, where the path does not say it.
    pub(crate) stream: Option<bool>,
    /// `anthropic_version` member, where no header says it.
    pub(crate) version: Option<&'a str>,
    /// Model that the gates look at.
    pub(crate) effective_model: &'a str,
    /// Models with `output_config.format`.
    pub(crate) structured_output: Gate,
    /// Models with `output_config.effort`.
    pub(crate) effort: Gate,
}

/// Which models have a feature. Others never see it: the member is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate {
    /// All: the provider decides.
    Open,
    /// Models whose lower-case name contains one of these.
    Models(&'static [&'static str]),
}

impl Gate {
    fn lets_through(self, model: &str) -> bool {
        match self {
            Self::Open => true,
            Self::Models(parts) => {
                let model = model.to_ascii_lowercase();
                parts.iter().any(|part| model.contains(part))
            }
        }
    }
}

/// Notes what the Messages request of `req` leaves out.
pub(crate) fn note_dropped(req: &ChatRequest<'_>, target: &Target<'_>, dropped: &mut Dropped) {
    req.note_unread(READ, dropped);
    let model = target.effective_model;
    let format = req.response_format.as_ref().map(|format| format.r#type);
    dropped.note(
        "response_format",
        match format {
            None | Some(ResponseFormatType::Text) => false,
            Some(ResponseFormatType::JsonObject) => true,
            Some(ResponseFormatType::JsonSchema) => !target.structured_output.lets_through(model),
        },
    );
    dropped.note(
        "reasoning_effort",
        req.reasoning_effort.is_some() && !target.effort.lets_through(model),
    );
    let chosen = match &req.tool_choice {
        Some(openai::ToolChoice::Object(object)) => tools::names_function(object),
        None | Some(openai::ToolChoice::Word(_)) => true,
    };
    let has_tools = req.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    dropped.note(
        "tool_choice",
        req.tool_choice.is_some() && !(chosen && has_tools),
    );
    let thoughts = req.thinking.as_ref().and_then(|t| t.include_thoughts);
    dropped.note("thinking.includeThoughts", thoughts.is_some());
    messages::note_dropped(req.messages.as_deref().unwrap_or_default(), dropped);
}

/// The Messages request of a chat request.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that Claude cannot express,
/// [`Error::MalformedRequest`] for parts of unknown type.
pub(crate) fn chat_request<'a>(
    req: &'a ChatRequest<'a>,
    target: &Target<'a>,
) -> Result<MessagesRequest<'a>> {
    let conversation = messages::conversation(req.messages.as_deref().unwrap_or_default())?;
    let definitions = tools::definitions(req)?;
    let tool_choice = if definitions.is_empty() {
        None
    } else {
        tools::choice(req)?
    };
    let output_config = output_config(req, target)?;
    check_temperature(req.temperature)?;
    Ok(MessagesRequest {
        anthropic_version: target.version,
        model: target.model,
        max_tokens: max_tokens(req),
        system: conversation.system,
        messages: conversation.messages,
        tools: definitions,
        tool_choice,
        temperature: req.temperature,
        top_p: req.top_p,
        stop_sequences: req.stop.as_ref().map(stop_sequences),
        thinking: thinking(req.thinking.as_ref())?,
        output_config,
        metadata: user(req),
        stream: target.stream,
    })
}

fn max_tokens(req: &ChatRequest<'_>) -> i64 {
    let budget = match &req.thinking {
        Some(thinking) if thinking.r#type == ThinkingType::Enabled => thinking.budget_tokens,
        _ => None,
    };
    req.max_completion_tokens
        .or(req.max_tokens)
        .unwrap_or_else(|| DEFAULT_MAX_TOKENS.saturating_add(budget.unwrap_or(0).max(0)))
}

fn stop_sequences<'a>(stop: &'a Stop<'a>) -> Vec<&'a str> {
    match stop {
        Stop::One(one) => vec![one.as_ref()],
        Stop::Many(many) => many.iter().map(AsRef::as_ref).collect(),
    }
}

fn user<'a>(req: &'a ChatRequest<'a>) -> Option<Metadata<'a>> {
    let user_id = req.user.as_deref().filter(|user| !user.is_empty())?;
    Some(Metadata { user_id })
}

fn thinking<'a>(thinking: Option<&'a openai::Thinking<'a>>) -> Result<Option<Thinking<'a>>> {
    let Some(thinking) = thinking else {
        return Ok(None);
    };
    let display = thinking.display.as_deref();
    let (r#type, budget_tokens, display) = match thinking.r#type {
        ThinkingType::Enabled => {
            let budget = thinking.budget_tokens.ok_or_else(|| {
                Error::Untranslatable("thinking.budget_tokens: required with type enabled".into())
            })?;
            ("enabled", Some(budget), display)
        }
        ThinkingType::Adaptive => ("adaptive", None, display),
        ThinkingType::Disabled => ("disabled", None, None),
    };
    Ok(Some(Thinking {
        r#type,
        budget_tokens,
        display,
    }))
}

fn output_config<'a>(
    req: &'a ChatRequest<'a>,
    target: &Target<'a>,
) -> Result<Option<OutputConfig<'a>>> {
    let format = if target
        .structured_output
        .lets_through(target.effective_model)
    {
        output_format(req)?
    } else {
        None
    };
    let effort = if target.effort.lets_through(target.effective_model) {
        effort(req)?
    } else {
        None
    };
    let is_set = format.is_some() || effort.is_some();
    Ok(is_set.then_some(OutputConfig { effort, format }))
}

fn output_format<'a>(req: &'a ChatRequest<'a>) -> Result<Option<OutputFormat<'a>>> {
    let Some(format) = &req.response_format else {
        return Ok(None);
    };
    match format.r#type {
        ResponseFormatType::Text | ResponseFormatType::JsonObject => Ok(None),
        ResponseFormatType::JsonSchema => {
            let schema = format.json_schema.as_ref().and_then(|json| json.schema);
            let schema = schema.filter(|raw| is_object(raw)).ok_or_else(|| {
                Error::Untranslatable(
                    "response_format.json_schema.schema: failed to parse JSON schema: an object \
                     is expected"
                        .into(),
                )
            })?;
            Ok(Some(OutputFormat {
                r#type: "json_schema",
                schema,
            }))
        }
    }
}

/// Raw JSON has no leading blanks.
pub(super) fn is_object(raw: Raw<'_>) -> bool {
    raw.get().starts_with('{')
}

fn effort<'a>(req: &'a ChatRequest<'a>) -> Result<Option<&'a str>> {
    match req.reasoning_effort.as_deref() {
        None | Some("") => Ok(None),
        Some(level) if EFFORTS.contains(&level) => Ok(Some(level)),
        Some(level) => Err(Error::Untranslatable(format!(
            "unsupported reasoning effort level: \"{level}\" (supported: {})",
            EFFORTS.join(", ")
        ))),
    }
}

/// OpenAI's scale ends at 2, Anthropic's at 1.
fn check_temperature(temperature: Option<f64>) -> Result<()> {
    match temperature {
        Some(value) if !(0.0..=1.0).contains(&value) => Err(Error::Untranslatable(format!(
            "temperature {} is not supported by Anthropic (must be between 0.0 and 1.0)",
            at_least_two_decimals(value)
        ))),
        _ => Ok(()),
    }
}

/// `1.7` as `1.70`, but `1.0001` in full: rounded, it would look acceptable.
fn at_least_two_decimals(value: f64) -> String {
    let exact = value.to_string();
    match exact.split_once('.') {
        Some((_, decimals)) if decimals.len() > 2 => exact,
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWER: Gate = Gate::Models(&["opus-4-6"]);

    fn body(model: &str, gate: Gate, request: &str) -> Result<serde_json::Value> {
        let req: ChatRequest<'_> = serde_json::from_str(request).unwrap();
        let target = Target {
            model: None,
            stream: None,
            version: Some("host-1"),
            effective_model: model,
            structured_output: gate,
            effort: gate,
        };
        chat_request(&req, &target).map(|body| serde_json::to_value(&body).unwrap())
    }

    #[test]
    fn features_of_other_models_are_left_out() {
        let request = r#"{"max_tokens":1,"reasoning_effort":"max","response_format":
            {"type":"json_schema","json_schema":{"schema":{"type":"object"}}}}"#;
        let newer = body("eu.anthropic.Claude-Opus-4-6-v1", NEWER, request).unwrap();
        assert_eq!(newer["output_config"]["effort"], "max");
        assert_eq!(newer["output_config"]["format"]["type"], "json_schema");
        let older = body("claude-3-haiku", NEWER, request).unwrap();
        assert_eq!(older.get("output_config"), None);
    }

    #[test]
    fn unknown_efforts_matter_only_to_models_that_have_efforts() {
        let request = r#"{"max_tokens":1,"reasoning_effort":"minimal"}"#;
        assert!(body("claude-3-haiku", NEWER, request).is_ok());
        let error = body("claude-opus-4-6", NEWER, request).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid request body: unsupported reasoning effort level: \"minimal\" (supported: \
             low, medium, high, xhigh, max)"
        );
    }

    #[test]
    fn hosts_say_version_and_model_in_the_body_or_not() {
        let body = body("m", Gate::Open, r#"{"max_tokens":1,"stream":true}"#).unwrap();
        let want = serde_json::json!({"anthropic_version": "host-1", "max_tokens": 1});
        assert_eq!(body, want);
    }

    #[test]
    fn temperatures_just_above_the_limit_are_named_in_full() {
        let error = body("m", Gate::Open, r#"{"temperature":1.0001}"#).unwrap_err();
        assert!(error.to_string().contains("temperature 1.0001 is not"));
        for fine in ["0", "1", "1.0", "null"] {
            let request = format!(r#"{{"temperature":{fine}}}"#);
            assert!(body("m", Gate::Open, &request).is_ok(), "{fine}");
        }
    }
}
