//! Gemini on Vertex AI: `generateContent` and what belongs to it.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>. Free-form
//! JSON keeps its text; strings borrow from the body where they have no escapes.

use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use super::Text;
pub(crate) use super::openai::{Raw, SafetySetting};

/// An empty object, the whole of several members.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Empty {}

// --- request ---

/// `:generateContent` and `:streamGenerateContent`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerateRequest<'a> {
    /// `null` without any.
    pub(crate) contents: Option<Vec<Content<'a>>>,
    /// `null` without any.
    pub(crate) tools: Option<Vec<Tool<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_config: Option<ToolConfig<'a>>,
    pub(crate) generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_instruction: Option<SystemInstruction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safety_settings: Option<&'a [SafetySetting<'a>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_content: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Content<'a> {
    pub(crate) role: &'static str,
    pub(crate) parts: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SystemInstruction<'a> {
    pub(crate) parts: Vec<Part<'a>>,
}

/// A part of a content: one kind of data and what is said of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thought: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_response: Option<FunctionResponse<'a>>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thought_signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_resolution: Option<MediaResolution>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Blob<'a> {
    /// Base64.
    pub(crate) data: Text<'a>,
    pub(crate) mime_type: Text<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileData<'a> {
    pub(crate) file_uri: &'a str,
    pub(crate) mime_type: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct FunctionCall<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) args: Option<Raw<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) name: &'a str,
    pub(crate) response: Output<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Output<'a> {
    pub(crate) output: Text<'a>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct MediaResolution {
    pub(crate) level: &'static str,
}

/// One kind of tool.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tool<'a> {
    FunctionDeclarations(Vec<FunctionDeclaration<'a>>),
    GoogleSearch(GoogleSearch<'a>),
    EnterpriseWebSearch(Empty),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionDeclaration<'a> {
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<&'a str>,
    /// As the client wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameters_json_schema: Option<Raw<'a>>,
    /// In Gemini's own subset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameters: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GoogleSearch<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) exclude_domains: &'a [Text<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blocking_confidence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_range_filter: Option<TimeRangeFilter<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimeRangeFilter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_time: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolConfig<'a> {
    pub(crate) function_calling_config: FunctionCallingConfig<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionCallingConfig<'a> {
    pub(crate) mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_function_names: Option<[&'a str; 1]>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logprobs: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) candidate_count: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_output_tokens: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_sequences: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_json_schema: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_schema: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_config: Option<ThinkingConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) media_resolution: Option<&'a str>,
}

/// How much a model thinks.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ThinkingConfig<'a> {
    /// In our words.
    Known(KnownThinking),
    /// In the client's words.
    Given(Raw<'a>),
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KnownThinking {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_budget: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_level: Option<&'static str>,
}

// --- reply ---

/// A whole reply, or one event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct GenerateReply<'a> {
    #[serde(borrow)]
    pub(crate) response_id: Option<Text<'a>>,
    /// RFC 3339.
    #[serde(borrow)]
    pub(crate) create_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) model_version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) candidates: Option<Vec<Option<Candidate<'a>>>>,
    #[serde(borrow)]
    pub(crate) prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(borrow)]
    pub(crate) usage_metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) error: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct PromptFeedback<'a> {
    #[serde(borrow)]
    pub(crate) block_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) safety_ratings: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct Candidate<'a> {
    pub(crate) index: Option<u32>,
    #[serde(borrow)]
    pub(crate) content: Option<ReplyContent<'a>>,
    #[serde(borrow)]
    pub(crate) finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) safety_ratings: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) grounding_metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) logprobs_result: Option<LogprobsResult<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ReplyContent<'a> {
    #[serde(borrow)]
    pub(crate) parts: Option<Vec<Option<ReplyPart<'a>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct ReplyPart<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    pub(crate) thought: Option<bool>,
    #[serde(borrow)]
    pub(crate) thought_signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) function_call: Option<ReplyCall<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ReplyCall<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) args: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct LogprobsResult<'a> {
    #[serde(borrow)]
    pub(crate) chosen_candidates: Option<Vec<ScoredToken<'a>>>,
    #[serde(borrow)]
    pub(crate) top_candidates: Option<Vec<Option<TopCandidates<'a>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct TopCandidates<'a> {
    #[serde(borrow)]
    pub(crate) candidates: Option<Vec<ScoredToken<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ScoredToken<'a> {
    #[serde(borrow)]
    pub(crate) token: Text<'a>,
    #[serde(deserialize_with = "log_probability")]
    pub(crate) log_probability: f32,
}

/// Stands for a probability of nothing, in OpenAI's API too.
const LEAST_LOG_PROBABILITY: f32 = -9999.0;

/// Google writes what JSON has no number for as text: `"-Infinity"`.
fn log_probability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = f32::deserialize(value).ok();
    Ok(number
        .filter(|number| number.is_finite())
        .unwrap_or(LEAST_LOG_PROBABILITY))
}
