//! OpenAI chat completions as providers send them, for pairs that read and rebuild them.
//!
//! Providers that call themselves compatible differ: everything is optional, and members of an
//! unexpected form are absent rather than errors where a reply can do without them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::Text;
use super::openai::Raw;
use crate::usage::Count;

/// `chat.completion` or `chat.completion.chunk`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Reply<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    /// Seconds; some servers write fractions.
    pub(crate) created: Count,
    #[serde(borrow)]
    pub(crate) service_tier: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub(crate) usage: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) error: Option<Raw<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Choice<'a> {
    pub(crate) index: Option<u32>,
    /// Unary replies.
    #[serde(borrow)]
    pub(crate) message: Option<Message<'a>>,
    /// Streams.
    #[serde(borrow)]
    pub(crate) delta: Option<Message<'a>>,
    #[serde(borrow)]
    pub(crate) finish_reason: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) role: Option<Text<'a>>,
    /// Text; some servers send parts, of which the texts count.
    #[serde(borrow, deserialize_with = "joined_text")]
    pub(crate) content: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) refusal: Option<Text<'a>>,
    /// Text, or the nested form of some gateways: see [`Reasoning`].
    #[serde(borrow)]
    pub(crate) reasoning_content: Option<Raw<'a>>,
    /// What some servers call it.
    #[serde(borrow)]
    pub(crate) reasoning: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(crate) thinking_blocks: Option<Vec<ThinkingBlock<'a>>>,
    #[serde(borrow)]
    pub(crate) tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ThinkingBlock<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) data: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ToolCall<'a> {
    pub(crate) index: Option<u32>,
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) function: Option<Function<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Function<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    /// JSON as text; some servers send the JSON itself.
    #[serde(borrow, deserialize_with = "json_text")]
    pub(crate) arguments: Option<Text<'a>>,
}

/// The nested form of `reasoning_content`; streams leave the outer levels out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
pub(crate) struct Reasoning<'a> {
    #[serde(borrow)]
    pub(crate) reasoning_content: Option<Box<Reasoning<'a>>>,
    #[serde(borrow)]
    pub(crate) reasoning_text: Option<SignedText<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) signature: Option<Text<'a>>,
    /// Base64.
    #[serde(borrow)]
    pub(crate) redacted_content: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SignedText<'a> {
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) signature: Option<Text<'a>>,
}

fn json_text<'de: 'a, 'a, D: Deserializer<'de>>(de: D) -> Result<Option<Text<'a>>, D::Error> {
    let Some(raw) = Option::<Raw<'a>>::deserialize(de)? else {
        return Ok(None);
    };
    let text = serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().into());
    Ok(Some(text))
}

fn joined_text<'de: 'a, 'a, D: Deserializer<'de>>(de: D) -> Result<Option<Text<'a>>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Option<Text<'a>>,
    }
    struct TextOrParts;
    impl<'de> Visitor<'de> for TextOrParts {
        type Value = Option<Text<'de>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of parts")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(text.into()))
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned().into()))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
            let mut joined = String::new();
            while let Some(part) = parts.next_element::<Part<'de>>()? {
                joined.push_str(part.text.as_deref().unwrap_or_default());
            }
            Ok(Some(joined.into()))
        }
    }
    de.deserialize_any(TextOrParts)
}
