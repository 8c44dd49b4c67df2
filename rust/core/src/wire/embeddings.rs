//! OpenAI embeddings: the request as clients send it, the reply as they must get it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::Text;
use super::openai::{Message, Raw};

/// `POST /v1/embeddings`, with the members that Google's users add.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct EmbeddingsRequest<'a> {
    #[serde(borrow)]
    pub(crate) input: Option<Input<'a>>,
    #[serde(borrow)]
    pub(crate) messages: Option<Vec<Message<'a>>>,
    pub(crate) dimensions: Option<i64>,
    #[serde(borrow)]
    pub(crate) encoding_format: Option<Text<'a>>,
    pub(crate) auto_truncate: Option<bool>,
    #[serde(borrow)]
    pub(crate) task_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) title: Option<Text<'a>>,
}

impl EmbeddingsRequest<'_> {
    /// How the client wants its vectors.
    pub(crate) fn encoding(&self) -> Encoding {
        match self.encoding_format.as_deref() {
            Some("base64") => Encoding::Base64,
            _ => Encoding::Float,
        }
    }
}

/// What is to be embedded.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    Text(Text<'a>),
    Texts(Vec<Text<'a>>),
    Item(Item<'a>),
    Items(Vec<Item<'a>>),
    /// Token ids, which mean something to one vocabulary only; the name of their form.
    Tokens(&'static str),
}

/// Texts with what Google wants to know of them.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct Item<'a> {
    #[serde(borrow)]
    pub(crate) content: ItemContent<'a>,
    #[serde(default, borrow)]
    pub(crate) task_type: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) title: Option<Text<'a>>,
}

#[derive(Debug)]
pub(crate) enum ItemContent<'a> {
    Text(Text<'a>),
    Texts(Vec<Text<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Raw<'de>>::deserialize(deserializer)?;
        let text = raw.get();
        let failed = |_| D::Error::custom("invalid input");
        let first = text.trim_start_matches('[').trim_start().chars().next();
        let inner = text.strip_prefix('[');
        let is_list = inner.is_some();
        let is_nested = inner.is_some_and(|inner| inner.trim_start().starts_with('['));
        match (is_list, first) {
            (false, Some('"')) => serde_json::from_str(text).map(Self::Text).map_err(failed),
            (false, Some('{')) => serde_json::from_str(text).map(Self::Item).map_err(failed),
            (true, Some('"' | ']')) => serde_json::from_str(text).map(Self::Texts).map_err(failed),
            (true, Some('{')) => serde_json::from_str(text).map(Self::Items).map_err(failed),
            (true, _) if is_nested => Ok(Self::Tokens("[][]int64")),
            (true, _) => Ok(Self::Tokens("[]int64")),
            (false, _) => Err(D::Error::custom(
                "a string, an object or an array is expected",
            )),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ItemContent<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Raw<'de>>::deserialize(deserializer)?;
        let failed = |_| D::Error::custom("a string or an array of strings is expected");
        let content = if raw.get().starts_with('[') {
            serde_json::from_str(raw.get()).map(Self::Texts)
        } else {
            serde_json::from_str(raw.get()).map(Self::Text)
        };
        let content = content.map_err(failed)?;
        let is_empty = match &content {
            Self::Text(text) => text.is_empty(),
            Self::Texts(texts) => texts.is_empty(),
        };
        if is_empty {
            return Err(D::Error::custom("content is empty"));
        }
        Ok(content)
    }
}

impl<'a> ItemContent<'a> {
    /// Its texts, in order.
    pub(crate) fn texts(&'a self) -> &'a [Text<'a>] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Texts(texts) => texts,
        }
    }
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Lists of numbers.
    #[default]
    Float,
    /// Base64 of little-endian 32-bit floats.
    Base64,
}

/// The reply.
#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingsReply<'a> {
    object: &'static str,
    pub(crate) data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: EmbeddingsUsage,
}

#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingsUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Embedding<'a> {
    object: &'static str,
    #[serde(rename = "embedding")]
    vector: Vector<'a>,
    index: usize,
    /// Written only where it is true.
    #[serde(skip_serializing_if = "is_false")]
    truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    /// As the provider wrote it.
    Float(Raw<'a>),
    Base64(String),
}

impl<'a> EmbeddingsReply<'a> {
    /// A reply of `vectors`, each with whether its text was cut.
    ///
    /// # Errors
    /// When a vector is no list of numbers.
    pub(crate) fn new(
        vectors: impl Iterator<Item = (Raw<'a>, bool)>,
        encoding: Encoding,
        model: &'a str,
        tokens: u64,
    ) -> Result<Self, serde_json::Error> {
        let data: Result<Vec<_>, _> = vectors
            .enumerate()
            .map(|(index, (raw, truncated))| {
                let numbers: Vec<f32> = serde_json::from_str(raw.get())?;
                let vector = match encoding {
                    Encoding::Float => Vector::Float(raw),
                    Encoding::Base64 => {
                        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
                        Vector::Base64(STANDARD.encode(bytes.collect::<Vec<u8>>()))
                    }
                };
                Ok(Embedding {
                    object: "embedding",
                    vector,
                    index,
                    truncated,
                })
            })
            .collect();
        Ok(Self {
            object: "list",
            data: data?,
            model,
            usage: EmbeddingsUsage {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_keep_their_digits_or_become_little_endian_floats() {
        let raw: Raw<'_> = serde_json::from_str("[0.10, -2]").unwrap();
        let reply = |encoding| {
            let vectors = std::iter::once((raw, false));
            let reply = EmbeddingsReply::new(vectors, encoding, "m", 3).unwrap();
            serde_json::to_string(&reply).unwrap()
        };
        assert!(reply(Encoding::Float).contains(r#""embedding":[0.10, -2],"index":0}"#));
        assert!(reply(Encoding::Base64).contains(r#""embedding":"zczMPQAAAMA=""#));
    }

    #[test]
    fn every_form_of_input_is_known_by_its_first_element() {
        for (text, want) in [
            ("\"a\"", "Text("),
            ("[]", "Texts([])"),
            ("[\"a\"]", "Texts("),
            ("{\"content\":\"a\"}", "Item("),
            ("[ {\"content\":[\"a\"]}]", "Items("),
            ("[1,2]", "Tokens(\"[]"),
            ("[ [1],[2]]", "Tokens(\"[][]"),
        ] {
            let input: Input<'_> = serde_json::from_str(text).unwrap();
            assert!(format!("{input:?}").starts_with(want), "{text}");
        }
        for text in ["null", "1", "{}", "{\"content\":\"\"}", "[\"a\",1]"] {
            assert!(serde_json::from_str::<Input<'_>>(text).is_err(), "{text}");
        }
    }
}
