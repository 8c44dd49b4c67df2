//! OpenAI chat completions: the request as clients send it, the reply as they must get it.
//!
//! Only members that some translator reads are named. Unions are flat structs whose `type`
//! or `role` the translator matches on: tagged enums would copy the whole message first.
//! Strings borrow from the body where they have no escapes. `null` means absent everywhere.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use super::Text;

use crate::translate::Dropped;

/// Any JSON, as it stands in the body.
pub(crate) type Raw<'a> = &'a RawValue;

/// `POST /v1/chat/completions`. Also the common form of requests that other endpoints serve by
/// chat backends: see `translate::hub`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ChatRequest<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<Vec<Message<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_completion_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<Stop<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parallel_tool_calls: Option<bool>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) response_format: Option<ResponseFormat<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_effort: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Thinking<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) service_tier: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_logprobs: Option<i64>,
    /// Anthropic, Gemini and many open servers have it; OpenAI has not.
    #[serde(skip_serializing)]
    pub(crate) top_k: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Raw<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) web_search_options: Option<Raw<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) verbosity: Option<Text<'a>>,
    /// vLLM's guided decoding: one of these texts.
    #[serde(borrow, skip_serializing)]
    pub(crate) guided_choice: Option<Vec<Text<'a>>>,
    /// vLLM's guided decoding: a text that matches.
    #[serde(borrow, skip_serializing)]
    pub(crate) guided_regex: Option<Text<'a>>,
    /// vLLM's guided decoding: JSON of this schema.
    #[serde(borrow, skip_serializing)]
    pub(crate) guided_json: Option<Raw<'a>>,
    /// Gemini's own settings.
    #[serde(borrow, rename = "generationConfig", skip_serializing)]
    pub(crate) generation_config: Option<GeminiSettings<'a>>,
    /// Gemini's safety settings.
    #[serde(borrow, rename = "safetySettings", skip_serializing)]
    pub(crate) safety_settings: Option<Vec<SafetySetting<'a>>>,
    /// Gemini's name of a prompt cache.
    #[serde(borrow, rename = "cachedContent", skip_serializing)]
    pub(crate) cached_content: Option<Text<'a>>,
}

/// Settings that Gemini's users put into a chat request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct GeminiSettings<'a> {
    #[serde(borrow)]
    pub(crate) media_resolution: Option<Text<'a>>,
    #[serde(borrow, rename = "thinkingConfig")]
    pub(crate) thinking_config: Option<Raw<'a>>,
}

/// One safety setting of Gemini, its words unchecked.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SafetySetting<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<Text<'a>>,
}

impl ChatRequest<'_> {
    /// Optional members besides `messages`, and whether the request has them.
    fn members(&self) -> [(&'static str, bool); 29] {
        [
            ("max_tokens", self.max_tokens.is_some()),
            (
                "max_completion_tokens",
                self.max_completion_tokens.is_some(),
            ),
            ("temperature", self.temperature.is_some()),
            ("top_p", self.top_p.is_some()),
            ("stop", self.stop.is_some()),
            ("tools", self.tools.is_some()),
            ("tool_choice", self.tool_choice.is_some()),
            ("parallel_tool_calls", self.parallel_tool_calls.is_some()),
            ("response_format", self.response_format.is_some()),
            ("reasoning_effort", self.reasoning_effort.is_some()),
            ("thinking", self.thinking.is_some()),
            ("service_tier", self.service_tier.is_some()),
            ("user", self.user.is_some()),
            ("n", self.n.is_some_and(|n| n != 1)),
            ("seed", self.seed.is_some()),
            (
                "presence_penalty",
                self.presence_penalty.is_some_and(|p| p != 0.0),
            ),
            (
                "frequency_penalty",
                self.frequency_penalty.is_some_and(|p| p != 0.0),
            ),
            ("logprobs", self.logprobs == Some(true)),
            ("top_logprobs", self.top_logprobs.is_some()),
            ("top_k", self.top_k.is_some()),
            ("metadata", self.metadata.is_some()),
            ("web_search_options", self.web_search_options.is_some()),
            ("verbosity", self.verbosity.is_some()),
            ("guided_choice", self.guided_choice.is_some()),
            ("guided_regex", self.guided_regex.is_some()),
            ("guided_json", self.guided_json.is_some()),
            ("generationConfig", self.generation_config.is_some()),
            ("safetySettings", self.safety_settings.is_some()),
            ("cachedContent", self.cached_content.is_some()),
        ]
    }

    /// Notes every optional member that the request has and a translator does not read.
    pub(crate) fn note_unread(&self, read: &[&str], dropped: &mut Dropped) {
        for (name, present) in self.members() {
            dropped.note(name, present && !read.contains(&name));
        }
        let mut messages = self.messages.iter().flatten();
        let name = "messages[].reasoning_content";
        dropped.note(
            name,
            !read.contains(&name) && messages.any(|m| m.reasoning_content.is_some()),
        );
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// A message of any role; members that a role does not have are absent.
#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Message<'a> {
    pub(crate) role: Role,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Text<'a>>,
    /// Written as null where a message has none: some servers want the member.
    #[serde(default, borrow)]
    pub(crate) content: Option<Content<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_call_id: Option<Text<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) thinking_blocks: Option<Vec<ThinkingBlock<'a>>>,
    #[serde(default, borrow, skip_serializing)]
    pub(crate) reasoning_content: Option<ReasoningContent<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<CacheControl<'a>>,
}

/// Thinking that clients send back without its signature: text, or another form.
#[derive(Debug, Deserialize)]
#[serde(untagged, bound(deserialize = "'de: 'a"))]
pub(crate) enum ReasoningContent<'a> {
    Text(#[serde(borrow)] Text<'a>),
    Other(IgnoredAny),
}

/// Message content: a string, parts, or (assistant) one part.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Content<'a> {
    Text(Text<'a>),
    Parts(Vec<Part<'a>>),
}

/// A content part of any type.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Part<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<Text<'a>>,
    #[serde(
        borrow,
        rename = "redactedContent",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) redacted_content: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) image_url: Option<MediaUrl<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) input_audio: Option<InputAudio<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) audio_url: Option<MediaUrl<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) video_url: Option<MediaUrl<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<FilePart<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<CacheControl<'a>>,
}

impl Part<'_> {
    /// Whether a part of a system or tool message is text: clients label that in many ways.
    pub(crate) fn is_text(&self) -> bool {
        match self.r#type.as_deref() {
            None | Some("text") => true,
            Some("image_url" | "file" | "input_audio" | "audio_url" | "video_url") => false,
            Some(_) => self.text.is_some(),
        }
    }
}

/// Media by URL, `data:` included.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct MediaUrl<'a> {
    #[serde(borrow)]
    pub(crate) url: Text<'a>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Text<'a>>,
}

/// Inline audio.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct InputAudio<'a> {
    /// Base64.
    #[serde(borrow)]
    pub(crate) data: Text<'a>,
    /// `wav`, `mp3`.
    #[serde(borrow)]
    pub(crate) format: Text<'a>,
}

/// A file, inline or by id.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct FilePart<'a> {
    /// A `data:` URI.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) file_data: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) file_id: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<Text<'a>>,
}

/// Anthropic-style thinking that clients send back in an assistant message.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ThinkingBlock<'a> {
    /// Left over from a stream; the order says the same.
    #[serde(skip_serializing)]
    pub(crate) index: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Text<'a>>,
}

/// A prompt-cache marker.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CacheControl<'a> {
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<Text<'a>>,
}

impl CacheControl<'_> {
    /// Only `ephemeral` markers mean anything.
    pub(crate) fn is_enabled(&self) -> bool {
        self.r#type.as_deref() == Some("ephemeral")
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ToolCall<'a> {
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Text<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<FunctionCall<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<CacheControl<'a>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow, deserialize_with = "null_is_empty")]
    pub(crate) arguments: Text<'a>,
}

fn null_is_empty<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Tool<'a> {
    #[serde(default, borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<Function<'a>>,
    /// Options of Gemini's own search tool.
    #[serde(default, borrow, skip_serializing)]
    pub(crate) google_search: Option<GoogleSearch<'a>>,
}

/// Options of Gemini's own search tool.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct GoogleSearch<'a> {
    #[serde(borrow)]
    pub(crate) exclude_domains: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(crate) blocking_confidence: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) time_range_filter: Option<TimeRange<'a>>,
}

/// RFC 3339 times.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TimeRange<'a> {
    #[serde(borrow)]
    pub(crate) start_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) end_time: Option<Text<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Function<'a> {
    #[serde(default, borrow)]
    pub(crate) name: Text<'a>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) strict: Option<bool>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) parameters: Option<Raw<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<CacheControl<'a>>,
}

/// `tool_choice`: a word, or a function by name.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ToolChoice<'a> {
    Word(Text<'a>),
    Object(ToolChoiceObject<'a>),
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ToolChoiceObject<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow)]
    pub(crate) function: ToolChoiceFunction<'a>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ToolChoiceFunction<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
}

/// `stop`: one string or several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Stop<'a> {
    One(Text<'a>),
    Many(Vec<Text<'a>>),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct ResponseFormat<'a> {
    pub(crate) r#type: ResponseFormatType,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) json_schema: Option<JsonSchema<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResponseFormatType {
    Text,
    JsonSchema,
    JsonObject,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct JsonSchema<'a> {
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) strict: Option<bool>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Thinking<'a> {
    pub(crate) r#type: ThinkingType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget_tokens: Option<i64>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) display: Option<Text<'a>>,
    /// Gemini's wish to see the thoughts.
    #[serde(default, rename = "includeThoughts", skip_serializing)]
    pub(crate) include_thoughts: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ThinkingType {
    Enabled,
    Disabled,
    Adaptive,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of content parts")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(text.to_owned().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let part = Part::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Content::Parts(vec![part]))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ToolChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoiceVisitor;
        impl<'de> Visitor<'de> for ChoiceVisitor {
            type Value = ToolChoice<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(ToolChoice::Word(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ToolChoice::Word(text.to_owned().into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                ToolChoiceObject::deserialize(MapAccessDeserializer::new(map))
                    .map(ToolChoice::Object)
            }
        }
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Stop<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StopVisitor;
        impl<'de> Visitor<'de> for StopVisitor {
            type Value = Stop<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Stop::One(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Stop::One(text.to_owned().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(StopWord(one)) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Stop::Many(all))
            }
        }
        deserializer.deserialize_any(StopVisitor)
    }
}

/// One of several stop words: a string, or a number or boolean that stands for its text.
struct StopWord<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for StopWord<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::<'de>::deserialize(deserializer)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw)
                .map(Self)
                .map_err(D::Error::custom),
            Some(b'[' | b'{' | b'n') | None => Err(D::Error::custom("a string is expected")),
            Some(_) => Ok(Self(raw.into())),
        }
    }
}

// --- reply ---

/// `chat.completion`.
#[derive(Debug, Serialize)]
pub(crate) struct ChatResponse<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<ChatUsage>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Choice<'a> {
    pub(crate) index: u32,
    pub(crate) message: ReplyMessage<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logprobs: Option<Logprobs<'a>>,
    pub(crate) finish_reason: &'static str,
}

/// Log probabilities of a choice.
#[derive(Debug, Serialize)]
pub(crate) struct Logprobs<'a> {
    pub(crate) content: Vec<TokenLogprob<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TokenLogprob<'a> {
    pub(crate) token: &'a str,
    pub(crate) logprob: f64,
    /// `null` where there are none.
    pub(crate) top_logprobs: Option<Vec<TopLogprob<'a>>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TopLogprob<'a> {
    pub(crate) token: &'a str,
    pub(crate) logprob: f64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct ReplyMessage<'a> {
    /// Left out where there is no message to speak of.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ReplyToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) thinking_blocks: Vec<ReplyThinkingBlock<'a>>,
    /// Gemini's, as it writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safety_ratings: Option<serde_json::Value>,
    /// Gemini's, as it writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grounding_metadata: Option<serde_json::Value>,
}

/// Thinking in the form that clients may send back as [`ThinkingBlock`]: the only way to keep
/// its signature.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ReplyThinkingBlock<'a> {
    /// Streams only: pieces of one block have one index, by which libraries join them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u32>,
    /// `thinking` or `redacted_thinking`.
    pub(crate) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thinking: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReplyToolCall<'a> {
    /// Streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u32>,
    /// `null` where a stream continues a call.
    pub(crate) id: Option<&'a str>,
    pub(crate) function: ReplyFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#type: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReplyFunction<'a> {
    pub(crate) arguments: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
}

/// `chat.completion.chunk`.
#[derive(Debug, Serialize)]
pub(crate) struct ChatChunk<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) choices: Vec<ChunkChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<ChatUsage>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChunkChoice<'a> {
    pub(crate) index: u32,
    pub(crate) delta: Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logprobs: Option<Logprobs<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish_reason: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ReplyToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) thinking_blocks: Vec<ReplyThinkingBlock<'a>>,
    /// Gemini's, as it writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safety_ratings: Option<serde_json::Value>,
    /// Gemini's, as it writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grounding_metadata: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ChatUsage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_tokens_details: Option<CompletionDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct CompletionDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct PromptDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_creation_input_tokens: Option<u64>,
}
