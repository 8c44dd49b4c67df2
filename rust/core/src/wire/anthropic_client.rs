//! Anthropic Messages on the client's side: requests as clients send them, replies as their
//! libraries read them, for pairs that rebuild both.
//!
//! <https://docs.anthropic.com/en/api/messages>. Unions are flat structs whose `type` the
//! translator matches on. `null` means absent everywhere.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Text;

/// Any JSON, as it stands in the body.
pub(crate) type Raw<'a> = &'a RawValue;

// --- request ---

/// `POST /v1/messages`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct MessagesRequest<'a> {
    #[serde(default, borrow)]
    pub(crate) messages: Option<Vec<Message<'a>>>,
    #[serde(default, borrow)]
    pub(crate) system: Option<Content<'a>>,
    /// A number of any form; fractions are cut.
    #[serde(default)]
    pub(crate) max_tokens: Option<f64>,
    #[serde(default)]
    pub(crate) temperature: Option<f64>,
    #[serde(default)]
    pub(crate) top_p: Option<f64>,
    #[serde(default)]
    pub(crate) top_k: Option<i64>,
    #[serde(default, borrow)]
    pub(crate) stop_sequences: Option<Vec<Text<'a>>>,
    #[serde(default, borrow)]
    pub(crate) thinking: Option<Thinking<'a>>,
    #[serde(default, borrow)]
    pub(crate) tools: Option<Vec<Tool<'a>>>,
    #[serde(default, borrow)]
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    #[serde(default, borrow)]
    pub(crate) metadata: Option<Metadata<'a>>,
    #[serde(default, borrow)]
    pub(crate) output_config: Option<OutputConfig<'a>>,
    #[serde(default, borrow)]
    pub(crate) service_tier: Option<Text<'a>>,
    /// Beta flags where clients of Bedrock put them.
    #[serde(default, borrow)]
    pub(crate) anthropic_beta: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) role: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) content: Option<Content<'a>>,
}

/// A string or blocks.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Text(Text<'a>),
    Blocks(Vec<Block<'a>>),
}

/// A content block of any type.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Block<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) text: Option<Text<'a>>,
    /// `image`, `document`: an object; `search_result`: a string.
    #[serde(default, borrow)]
    pub(crate) source: Option<SourceField<'a>>,
    /// `document`, `search_result`.
    #[serde(default, borrow)]
    pub(crate) title: Option<Text<'a>>,
    /// `tool_use`.
    #[serde(default, borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) input: Option<Raw<'a>>,
    /// `tool_result`.
    #[serde(default, borrow)]
    pub(crate) tool_use_id: Option<Text<'a>>,
    /// Results of tools that Anthropic runs may be one object.
    #[serde(default, borrow, deserialize_with = "nested_content")]
    pub(crate) content: Option<Content<'a>>,
    #[serde(default)]
    pub(crate) is_error: Option<bool>,
    /// `thinking`, `redacted_thinking`.
    #[serde(default, borrow)]
    pub(crate) thinking: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) signature: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) data: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) cache_control: Option<CacheControl<'a>>,
}

/// `source`: an object, or the string of a search result.
#[derive(Debug)]
pub(crate) enum SourceField<'a> {
    Object(Source<'a>),
    Name,
}

impl<'de: 'a, 'a> Deserialize<'de> for SourceField<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = SourceField<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a string")
            }
            fn visit_str<E>(self, _text: &str) -> Result<Self::Value, E> {
                Ok(SourceField::Name)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Source::deserialize(MapAccessDeserializer::new(map)).map(SourceField::Object)
            }
        }
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// Where an image or a document comes from.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Source<'a> {
    /// Empty when absent, which blocks of unknown types may want.
    #[serde(default, borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) media_type: Option<Text<'a>>,
    /// Base64, or the text of `text` sources.
    #[serde(default, borrow)]
    pub(crate) data: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) url: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CacheControl<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) ttl: Option<Text<'a>>,
}

impl CacheControl<'_> {
    /// Only `ephemeral` markers mean anything.
    pub(crate) fn is_enabled(&self) -> bool {
        self.r#type == "ephemeral"
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Thinking<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default)]
    pub(crate) budget_tokens: Option<i64>,
    #[serde(default, borrow)]
    pub(crate) display: Option<Text<'a>>,
}

/// A tool; `type` is absent, empty or `custom` for the client's own.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Tool<'a> {
    #[serde(default, borrow)]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) input_schema: Option<Raw<'a>>,
    #[serde(default)]
    pub(crate) strict: Option<bool>,
    #[serde(default, borrow)]
    pub(crate) cache_control: Option<CacheControl<'a>>,
}

impl Tool<'_> {
    /// Whether the client defines the tool itself.
    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.r#type.as_deref(), None | Some("" | "custom"))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToolChoice<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default, borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(default)]
    pub(crate) disable_parallel_tool_use: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata<'a> {
    #[serde(default, borrow)]
    pub(crate) user_id: Option<Text<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct OutputConfig<'a> {
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) effort: Option<Text<'a>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<OutputFormat<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct OutputFormat<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Raw<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor {
            lone_block: LoneBlock::Refused,
        })
    }
}

fn nested_content<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Content<'a>>, D::Error> {
    struct Nested<'a>(Content<'a>);
    impl<'de: 'a, 'a> Deserialize<'de> for Nested<'a> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let visitor = ContentVisitor {
                lone_block: LoneBlock::Taken,
            };
            deserializer.deserialize_any(visitor).map(Self)
        }
    }
    let nested = Option::<Nested<'a>>::deserialize(deserializer)?;
    Ok(nested.map(|nested| nested.0))
}

/// What becomes of one block without an array around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LoneBlock {
    Taken,
    Refused,
}

struct ContentVisitor {
    lone_block: LoneBlock,
}

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content blocks")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = seq.next_element()? {
            blocks.push(block);
        }
        Ok(Content::Blocks(blocks))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        if self.lone_block == LoneBlock::Refused {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        }
        let block = Block::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Content::Blocks(vec![block]))
    }
}

// --- reply ---

/// A whole message, or what a stream begins with.
#[derive(Debug, Serialize)]
pub(crate) struct MessageReply<'a> {
    pub(crate) id: &'a str,
    pub(crate) r#type: &'static str,
    pub(crate) role: &'static str,
    pub(crate) content: Vec<ReplyBlock<'a>>,
    pub(crate) model: &'a str,
    pub(crate) stop_reason: Option<&'a str>,
    pub(crate) stop_sequence: Option<&'a str>,
    pub(crate) usage: Usage,
}

/// A content block of a reply. In streams, blocks start empty.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ReplyBlock<'a> {
    Text {
        text: &'a str,
    },
    /// The signature is there always: libraries want the member.
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Raw<'a>,
    },
}

/// Counters; `input_tokens` excludes cache traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the API's names")]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_read_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_creation_input_tokens: Option<u64>,
}

/// One event of a stream; [`StreamEvent::name`] is the name of its SSE event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum StreamEvent<'a> {
    MessageStart {
        message: MessageReply<'a>,
    },
    ContentBlockStart {
        index: u32,
        content_block: ReplyBlock<'a>,
    },
    ContentBlockDelta {
        index: u32,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: u32,
    },
    MessageDelta {
        delta: MessageDelta<'a>,
        usage: Usage,
    },
    MessageStop,
}

impl StreamEvent<'_> {
    /// Name of the SSE event.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(crate) enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Debug, Serialize)]
pub(crate) struct MessageDelta<'a> {
    pub(crate) stop_reason: Option<&'a str>,
    pub(crate) stop_sequence: Option<&'a str>,
}
