//! OpenAI Responses on the client's side: requests as clients send them, replies and stream
//! events as their libraries read them, for pairs that rebuild both.
//!
//! <https://platform.openai.com/docs/api-reference/responses>. Unions are flat structs whose
//! `type` the translator matches on. What a reply repeats of its request stays raw.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::openai::{InputAudio, Raw};
use super::{Loose, Text};

// --- request ---

/// `POST /v1/responses`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ResponsesRequest<'a> {
    #[serde(borrow)]
    pub(crate) input: Option<Input<'a>>,
    #[serde(borrow)]
    pub(crate) instructions: Option<Input<'a>>,
    pub(crate) max_output_tokens: Option<i64>,
    pub(crate) max_tool_calls: Option<i64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_logprobs: Option<i64>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) background: Option<bool>,
    pub(crate) store: Option<bool>,
    #[serde(borrow)]
    pub(crate) previous_response_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) conversation: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) prompt: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) truncation: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) include: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(crate) service_tier: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) reasoning: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) tools: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) tool_choice: Option<Raw<'a>>,
}

/// A text or items.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Text(Text<'a>),
    Items(Vec<Item<'a>>),
}

/// An item of any type; a message may leave its type out. Members that an item of another type
/// has in another form do not make it unreadable.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Item<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Text<'a>>,
    /// Messages.
    #[serde(borrow)]
    pub(crate) role: Option<Loose<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<Contents<'a>>,
    /// Calls and their outputs.
    #[serde(borrow)]
    pub(crate) call_id: Option<Loose<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Loose<'a>>,
    #[serde(borrow)]
    pub(crate) arguments: Option<Loose<'a>>,
    #[serde(borrow)]
    pub(crate) output: Option<Contents<'a>>,
    /// Reasoning.
    #[serde(borrow)]
    pub(crate) summary: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    pub(crate) encrypted_content: Option<Loose<'a>>,
    /// What replies say of their items and nobody needs back.
    #[serde(borrow)]
    pub(crate) id: Option<Loose<'a>>,
    #[serde(borrow)]
    pub(crate) status: Option<Loose<'a>>,
}

/// A text or parts.
#[derive(Debug)]
pub(crate) enum Contents<'a> {
    Text(Text<'a>),
    Parts(Vec<Part<'a>>),
    Other,
}

/// A content part of any type.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Part<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) image_url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) detail: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) file_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) file_data: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) file_url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) filename: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) input_audio: Option<InputAudio<'a>>,
    /// A URL.
    #[serde(borrow)]
    pub(crate) video_url: Option<Text<'a>>,
    /// Annotations and log probabilities of earlier replies.
    #[serde(borrow)]
    pub(crate) annotations: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) logprobs: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reasoning<'a> {
    #[serde(borrow)]
    pub(crate) effort: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct TextConfig<'a> {
    #[serde(borrow)]
    pub(crate) verbosity: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) format: Option<Format<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Format<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) schema: Option<Raw<'a>>,
    pub(crate) strict: Option<bool>,
}

/// A tool of any type.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Tool<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) parameters: Option<Raw<'a>>,
    pub(crate) strict: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NamedChoice<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputVisitor;
        impl<'de> Visitor<'de> for InputVisitor {
            type Value = Input<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of items")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Input::Text(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Input::Text(text.to_owned().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Input::Items(items))
            }
        }
        deserializer.deserialize_any(InputVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Contents<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentsVisitor;
        impl<'de> Visitor<'de> for ContentsVisitor {
            type Value = Contents<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of parts")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Contents::Text(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Contents::Text(text.to_owned().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Contents::Parts(parts))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Contents::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Contents::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Contents::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Contents::Other)
            }
            /// Items of other kinds have outputs of their own form.
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let part = Part::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Contents::Parts(vec![part]))
            }
        }
        deserializer.deserialize_any(ContentsVisitor)
    }
}

// --- reply ---

/// `response`, as a whole reply and inside of events.
#[derive(Debug, Serialize)]
pub(crate) struct Response<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created_at: u64,
    pub(crate) status: &'static str,
    pub(crate) background: bool,
    pub(crate) error: Option<()>,
    pub(crate) incomplete_details: Option<IncompleteDetails>,
    pub(crate) instructions: Option<&'a str>,
    pub(crate) max_output_tokens: Option<i64>,
    pub(crate) model: &'a str,
    pub(crate) output: &'a [OutputItem],
    pub(crate) parallel_tool_calls: bool,
    pub(crate) previous_response_id: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) store: bool,
    pub(crate) temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<Raw<'a>>,
    pub(crate) tool_choice: Raw<'a>,
    pub(crate) tools: Raw<'a>,
    pub(crate) top_p: f64,
    pub(crate) truncation: &'static str,
    pub(crate) usage: Option<ResponseUsage>,
    pub(crate) user: Option<&'a str>,
    pub(crate) metadata: Raw<'a>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct IncompleteDetails {
    pub(crate) reason: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ResponseUsage {
    pub(crate) input_tokens: u64,
    pub(crate) input_tokens_details: InputTokensDetails,
    pub(crate) output_tokens: u64,
    pub(crate) output_tokens_details: OutputTokensDetails,
    pub(crate) total_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the API's names")]
pub(crate) struct InputTokensDetails {
    pub(crate) cached_tokens: u64,
    pub(crate) cache_write_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_creation_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct OutputTokensDetails {
    pub(crate) reasoning_tokens: u64,
}

/// An item of the output. Streams fill it step by step.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum OutputItem {
    Reasoning {
        id: String,
        summary: Vec<SummaryText>,
        /// Ours: what must come back for the thinking to go on.
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<OutputText>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: String,
        name: String,
        arguments: String,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "summary_text")]
pub(crate) struct SummaryText {
    pub(crate) text: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "output_text")]
pub(crate) struct OutputText {
    pub(crate) text: String,
    pub(crate) annotations: [(); 0],
}

impl OutputText {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            annotations: [],
        }
    }
}

/// One event of a stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(crate) enum Event<'a> {
    #[serde(rename = "response.created")]
    Created { response: Response<'a> },
    #[serde(rename = "response.in_progress")]
    InProgress { response: Response<'a> },
    #[serde(rename = "response.completed")]
    Completed { response: Response<'a> },
    #[serde(rename = "response.incomplete")]
    Incomplete { response: Response<'a> },
    #[serde(rename = "response.output_item.added")]
    ItemAdded {
        output_index: usize,
        item: &'a OutputItem,
    },
    #[serde(rename = "response.output_item.done")]
    ItemDone {
        output_index: usize,
        item: &'a OutputItem,
    },
    #[serde(rename = "response.content_part.added")]
    PartAdded {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        part: &'a OutputText,
    },
    #[serde(rename = "response.content_part.done")]
    PartDone {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        part: &'a OutputText,
    },
    #[serde(rename = "response.output_text.delta")]
    TextDelta {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        delta: &'a str,
        logprobs: [(); 0],
    },
    #[serde(rename = "response.output_text.done")]
    TextDone {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        text: &'a str,
        logprobs: [(); 0],
    },
    #[serde(rename = "response.reasoning_summary_part.added")]
    SummaryPartAdded {
        item_id: &'a str,
        output_index: usize,
        summary_index: usize,
        part: &'a SummaryText,
    },
    #[serde(rename = "response.reasoning_summary_part.done")]
    SummaryPartDone {
        item_id: &'a str,
        output_index: usize,
        summary_index: usize,
        part: &'a SummaryText,
    },
    #[serde(rename = "response.reasoning_summary_text.delta")]
    SummaryDelta {
        item_id: &'a str,
        output_index: usize,
        summary_index: usize,
        delta: &'a str,
    },
    #[serde(rename = "response.reasoning_summary_text.done")]
    SummaryDone {
        item_id: &'a str,
        output_index: usize,
        summary_index: usize,
        text: &'a str,
    },
    #[serde(rename = "response.function_call_arguments.delta")]
    ArgumentsDelta {
        item_id: &'a str,
        output_index: usize,
        delta: &'a str,
    },
    #[serde(rename = "response.function_call_arguments.done")]
    ArgumentsDone {
        item_id: &'a str,
        output_index: usize,
        name: &'a str,
        arguments: &'a str,
    },
}

impl Event<'_> {
    /// Name of the SSE event, the same as the `type`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "response.created",
            Self::InProgress { .. } => "response.in_progress",
            Self::Completed { .. } => "response.completed",
            Self::Incomplete { .. } => "response.incomplete",
            Self::ItemAdded { .. } => "response.output_item.added",
            Self::ItemDone { .. } => "response.output_item.done",
            Self::PartAdded { .. } => "response.content_part.added",
            Self::PartDone { .. } => "response.content_part.done",
            Self::TextDelta { .. } => "response.output_text.delta",
            Self::TextDone { .. } => "response.output_text.done",
            Self::SummaryPartAdded { .. } => "response.reasoning_summary_part.added",
            Self::SummaryPartDone { .. } => "response.reasoning_summary_part.done",
            Self::SummaryDelta { .. } => "response.reasoning_summary_text.delta",
            Self::SummaryDone { .. } => "response.reasoning_summary_text.done",
            Self::ArgumentsDelta { .. } => "response.function_call_arguments.delta",
            Self::ArgumentsDone { .. } => "response.function_call_arguments.done",
        }
    }
}

/// The event of an error. Clients read its own members, the official libraries raise `error`.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorEvent<'a> {
    pub(crate) r#type: &'static str,
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) param: Option<()>,
    pub(crate) sequence_number: u64,
    pub(crate) error: ErrorDetail<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorDetail<'a> {
    pub(crate) r#type: &'a str,
    pub(crate) code: String,
    pub(crate) message: &'a str,
}
