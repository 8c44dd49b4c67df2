//! AWS Bedrock Runtime: `Converse` and `ConverseStream`.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
//! Strings borrow from the body where they have no escapes; free-form JSON keeps its text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use super::Text;
use super::anthropic_client::OutputConfig;

/// Any JSON, as it stands in the body.
pub(crate) type Raw<'a> = &'a RawValue;

/// An empty object, the whole of several members.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Empty {}

// --- request ---

/// `POST /model/{model}/converse` and `/converse-stream`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConverseRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) additional_model_request_fields: Option<AdditionalFields<'a>>,
    pub(crate) inference_config: InferenceConfig<'a>,
    pub(crate) messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) system: Vec<SystemBlock<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_tier: Option<Typed<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_config: Option<ToolConfig<'a>>,
}

/// Members that Bedrock hands to the model unread. The names are the models'.
#[derive(Debug, Default, Serialize)]
pub(crate) struct AdditionalFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_config: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_config: Option<&'a OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) anthropic_beta: Vec<String>,
}

impl AdditionalFields<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.thinking.is_none()
            && self.reasoning_config.is_none()
            && self.top_k.is_none()
            && self.output_config.is_none()
            && self.anthropic_beta.is_empty()
    }
}

/// Claude's `thinking`.
#[derive(Debug, Serialize)]
pub(crate) struct Thinking<'a> {
    pub(crate) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) display: Option<&'a str>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
}

/// `{"type": …}`.
#[derive(Debug, Serialize)]
pub(crate) struct Typed<'a> {
    pub(crate) r#type: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Message<'a> {
    pub(crate) content: Vec<Block<'a>>,
    pub(crate) role: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SystemBlock<'a> {
    Text(&'a str),
    CachePoint(CachePoint<'a>),
}

/// One content block of a message: exactly one member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Block<'a> {
    Text(&'a str),
    Image(Image<'a>),
    Document(Document<'a>),
    ToolUse(ToolUse<'a>),
    ToolResult(ToolResult<'a>),
    ReasoningContent(Reasoning<'a>),
    CachePoint(CachePoint<'a>),
}

/// A prompt-cache marker behind what it covers.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct CachePoint<'a> {
    /// `default`, the only kind.
    pub(crate) r#type: &'static str,
    /// `5m` or `1h`; not every model takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Image<'a> {
    pub(crate) format: &'static str,
    pub(crate) source: Source<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    pub(crate) format: &'static str,
    /// Unique in the request; letters, digits, single blanks, hyphens, brackets.
    pub(crate) name: String,
    pub(crate) source: Source<'a>,
}

/// Bytes as base64.
#[derive(Debug, Serialize)]
pub(crate) struct Source<'a> {
    pub(crate) bytes: Text<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the provider's names")]
pub(crate) struct ToolUse<'a> {
    pub(crate) tool_use_id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) input: Raw<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolResult<'a> {
    pub(crate) tool_use_id: &'a str,
    pub(crate) content: Vec<ResultBlock<'a>>,
    /// `success`, `error`, or not said.
    pub(crate) status: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ResultBlock<'a> {
    Text(&'a str),
    Image(Image<'a>),
    Document(Document<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reasoning<'a> {
    ReasoningText(ReasoningText<'a>),
    /// Base64.
    RedactedContent(Text<'a>),
}

#[derive(Debug, Serialize)]
pub(crate) struct ReasoningText<'a> {
    pub(crate) text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolConfig<'a> {
    pub(crate) tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tool<'a> {
    ToolSpec(ToolSpec<'a>),
    CachePoint(CachePoint<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolSpec<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    pub(crate) input_schema: InputSchema<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct InputSchema<'a> {
    pub(crate) json: Raw<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ToolChoice<'a> {
    Auto(Empty),
    Any(Empty),
    Tool(ToolName<'a>),
}

#[derive(Debug, Serialize)]
pub(crate) struct ToolName<'a> {
    pub(crate) name: &'a str,
}

// --- reply ---

/// A whole reply. Bedrock leaves `output` out where an operation is unknown to it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ConverseResponse<'a> {
    #[serde(borrow)]
    pub(crate) output: Option<Output<'a>>,
    #[serde(borrow)]
    pub(crate) stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) usage: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) service_tier: Option<ReplyTier<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Output<'a> {
    #[serde(borrow)]
    pub(crate) message: Option<ReplyMessage<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplyMessage<'a> {
    #[serde(borrow)]
    pub(crate) content: Option<Vec<ReplyBlock<'a>>>,
}

/// A content block; members of other kinds are absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ReplyBlock<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) tool_use: Option<ReplyToolUse<'a>>,
    #[serde(borrow)]
    pub(crate) reasoning_content: Option<ReplyReasoning<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ReplyToolUse<'a> {
    #[serde(borrow)]
    pub(crate) tool_use_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) input: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ReplyReasoning<'a> {
    #[serde(borrow)]
    pub(crate) reasoning_text: Option<ReplyReasoningText<'a>>,
    #[serde(borrow)]
    pub(crate) redacted_content: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplyReasoningText<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) signature: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplyTier<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Text<'a>>,
}

// --- stream ---

/// Payload of any stream event; members of other events are absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StreamPayload<'a> {
    /// `messageStart`.
    #[serde(borrow)]
    pub(crate) role: Option<Text<'a>>,
    /// `contentBlockStart`.
    #[serde(borrow)]
    pub(crate) start: Option<BlockStart<'a>>,
    /// `contentBlockDelta`.
    #[serde(borrow)]
    pub(crate) delta: Option<BlockDelta<'a>>,
    /// `messageStop`.
    #[serde(borrow)]
    pub(crate) stop_reason: Option<Text<'a>>,
    /// `metadata`.
    #[serde(borrow)]
    pub(crate) usage: Option<Raw<'a>>,
    /// `metadata`.
    #[serde(borrow)]
    pub(crate) service_tier: Option<ReplyTier<'a>>,
}

/// Only tool blocks are announced.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BlockStart<'a> {
    #[serde(borrow)]
    pub(crate) tool_use: Option<ReplyToolUse<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BlockDelta<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) tool_use: Option<ToolUseDelta<'a>>,
    #[serde(borrow)]
    pub(crate) reasoning_content: Option<ReasoningDelta<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ToolUseDelta<'a> {
    /// A piece of the JSON text of the arguments.
    #[serde(borrow)]
    pub(crate) input: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ReasoningDelta<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) redacted_content: Option<Text<'a>>,
}
