//! Tokens of a request: of its prompt text as exactly as it can be told, or of its bytes.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{EXACT_BYTES, by_bytes};
use crate::bpe::Vocabulary;
use crate::endpoint::{Counted, Endpoint};
use crate::wire::Text;

/// OpenAI's documented overhead: of each message, of a name in it, and of the reply's start.
const MESSAGE: u64 = 3;
const NAME: u64 = 1;
const REPLY: u64 = 3;
/// A string of base64 from this length on is media, not text.
const MEDIA: usize = 512;
/// Distance and size of the samples of a large body.
const STRETCH: usize = 1024;
const SAMPLE: usize = 48;

/// What is kept of a request to count its tokens at the end.
#[derive(Default)]
pub(crate) enum Prompt {
    /// Nothing: the endpoint uses none up.
    #[default]
    Uncounted,
    /// The body, if it is small.
    Whole(Box<[u8]>),
    /// The size of a large one, media excluded.
    Bytes(u64),
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uncounted => f.write_str("Uncounted"),
            Self::Whole(body) => write!(f, "Whole({} bytes)", body.len()),
            Self::Bytes(count) => write!(f, "Bytes({count})"),
        }
    }
}

impl Prompt {
    pub(crate) fn of(endpoint: Endpoint, body: &[u8]) -> Self {
        match endpoint.counted() {
            Counted::Nothing => Self::Uncounted,
            Counted::Input | Counted::Both if body.len() <= EXACT_BYTES => Self::Whole(body.into()),
            Counted::Input | Counted::Both => Self::Bytes(text_bytes(body)),
        }
    }

    /// Its tokens; exact when at most `budget` bytes are to be cut.
    pub(crate) fn tokens(&self, vocabulary: &'static Vocabulary, budget: usize) -> u64 {
        match self {
            Self::Uncounted => 0,
            Self::Whole(body) if body.len() <= budget => request_tokens(body, vocabulary),
            Self::Whole(body) => by_bytes(text_bytes(body)),
            Self::Bytes(count) => by_bytes(*count),
        }
    }
}

/// Size of a body without the media in it, by samples: a large body is not looked at byte by
/// byte. A sample that lies in base64 stands for all bytes up to the next one.
pub(crate) fn text_bytes(body: &[u8]) -> u64 {
    let is_media = |stretch: &&[u8]| stretch.len() == STRETCH && is_base64(stretch);
    let media = body.chunks(STRETCH).filter(is_media).count() * STRETCH;
    (body.len() - media) as u64
}

/// Whether the last bytes of a stretch are base64, in either alphabet, slashes escaped or not.
/// Text has a blank or a mark sooner.
fn is_base64(stretch: &[u8]) -> bool {
    let mut next = b'/';
    stretch.iter().rev().take(SAMPLE).all(|byte| {
        let fits = is_base64_byte(*byte) || (*byte == b'\\' && next == b'/');
        next = *byte;
        fits
    })
}

fn is_base64_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// Tokens of the text that a model is given, and the documented overhead around it; by bytes
/// where the body cannot be read.
pub(crate) fn request_tokens(body: &[u8], vocabulary: &'static Vocabulary) -> u64 {
    let mut counter = Counter {
        vocabulary,
        tokens: 0,
        messages: 0,
    };
    let json = &mut serde_json::Deserializer::from_slice(body);
    let walk = Walk {
        counter: &mut counter,
        place: Place::Top,
    };
    match walk.deserialize(json) {
        Ok(()) => counter.total(),
        Err(_) => by_bytes(text_bytes(body)),
    }
}

struct Counter {
    vocabulary: &'static Vocabulary,
    tokens: u64,
    messages: u64,
}

impl Counter {
    fn text(&mut self, text: &str) {
        let is_media =
            text.starts_with("data:") || (text.len() >= MEDIA && text.bytes().all(is_base64_byte));
        if !is_media {
            self.tokens += self.vocabulary.count(text);
        }
    }

    fn total(&self) -> u64 {
        let reply = if self.messages > 0 { REPLY } else { 0 };
        self.tokens + self.messages * MESSAGE + reply
    }
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The request itself: some members are prompt.
    Top,
    /// Prompt: texts are, names of members are not.
    Prompt,
    /// JSON that the model is given as it is, names included: tools, schemas, their input.
    Data,
    /// Settings, ids, media.
    Other,
}

/// Members of a request that are prompt.
const PROMPTS: &[&str] = &[
    "messages",
    "input",
    "prompt",
    "system",
    "instructions",
    "suffix",
];
/// Members of a request that the model is given as JSON.
const DATA: &[&str] = &["tools", "functions", "response_format", "text"];
/// Members of a prompt that are no text.
const NO_TEXT: &[&str] = &[
    "type",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "item_id",
    "status",
    "cache_control",
    "signature",
    "encrypted_content",
    "image_url",
    "video_url",
    "audio_url",
    "input_audio",
    "audio",
    "url",
    "file_id",
    "file_data",
    "file_url",
    "media_type",
    "format",
    "detail",
];

impl Place {
    fn member(self, name: &str) -> Self {
        match self {
            Self::Top if PROMPTS.contains(&name) => Self::Prompt,
            Self::Top if DATA.contains(&name) => Self::Data,
            Self::Prompt if NO_TEXT.contains(&name) => Self::Other,
            // The input of a tool.
            Self::Prompt if name == "input" => Self::Data,
            Self::Top => Self::Other,
            inside => inside,
        }
    }
}

struct Walk<'c> {
    counter: &'c mut Counter,
    place: Place,
}

impl Walk<'_> {
    fn at(&mut self, place: Place) -> Walk<'_> {
        Walk {
            counter: self.counter,
            place,
        }
    }

    fn is_text(&self) -> bool {
        matches!(self.place, Place::Prompt | Place::Data)
    }

    /// Prompts may be tokens already; figures in JSON are at least one.
    fn number(self) {
        self.counter.tokens += u64::from(self.is_text());
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.place == Place::Other {
            return serde::Deserialize::deserialize(deserializer).map(|IgnoredAny| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.is_text() {
            self.counter.text(text);
        }
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        self.number();
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        self.number();
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        self.number();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let place = self.place;
        while seq.next_element_seed(self.at(place))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let place = self.place;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match (place, &*name) {
                (Place::Data, name) => self.counter.text(name),
                (Place::Prompt, "role") => self.counter.messages += 1,
                (Place::Prompt, "name") => self.counter.tokens += NAME,
                _ => {}
            }
            map.next_value_seed(self.at(place.member(&name)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bpe::{CL100K, O200K};

    fn tokens(body: &str) -> u64 {
        request_tokens(body.as_bytes(), &O200K)
    }

    #[test]
    fn the_published_example_of_messages() {
        // OpenAI's cookbook counts 129 tokens for these with GPT-4.
        let system = |name: &str, content: &str| serde_json::json!({"role": "system", "name": name, "content": content});
        let body = serde_json::json!({"model": "gpt-4", "messages": [
            {"role": "system", "content": "You are a helpful, pattern-following assistant that \
             translates corporate jargon into plain English."},
            system("example_user", "New synergies will help drive top-line growth."),
            system("example_assistant", "Things working well together will increase revenue."),
            system("example_user", "Let's circle back when we have more bandwidth to touch base \
             on opportunities for increased leverage."),
            system("example_assistant", "Let's talk later when we're less busy about how to do \
             better."),
            {"role": "user", "content": "This late pivot means we don't have time to boil the \
             ocean for the client deliverable."},
        ]});
        assert_eq!(request_tokens(body.to_string().as_bytes(), &CL100K), 129);
    }

    #[test]
    fn settings_ids_and_media_are_no_prompt() {
        let plain = tokens(r#"{"messages":[{"role":"user","content":"hello world"}]}"#);
        assert_eq!(plain, 2 + 1 + MESSAGE + REPLY);
        let image = "A".repeat(4_000);
        for body in [
            r#"{"model":"m","stop":["x"],"user":"u","messages":[{"role":"user","content":"hello world"}]}"#.to_owned(),
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"hello world"}},
                {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}},
                {{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{image}"}}}},
                {{"type":"input_audio","input_audio":{{"data":"{image}","format":"wav"}}}}]}}]}}"#
            ),
        ] {
            assert_eq!(tokens(&body), plain, "{body}");
        }
    }

    #[test]
    fn every_kind_of_prompt_counts() {
        for (body, want) in [
            (r#"{"prompt":"hello world"}"#, 2),
            (r#"{"input":["hello world","hello world"]}"#, 4),
            (r#"{"prompt":[1,2,3]}"#, 3),
            (r#"{"input":"hello world","instructions":"hello"}"#, 3),
            (r#"{"tools":[{"name":"hello"}]}"#, 2),
            (r#"{"model":"hello world"}"#, 0),
        ] {
            assert_eq!(tokens(body), want, "{body}");
        }
    }

    #[test]
    fn base64_is_not_text() {
        let text = "many words of text ".repeat(1_000);
        let escaped = r"\u4e2d\u6587\n\n".repeat(1_000);
        for image in ["iVBORw0KGgo+", r"iVBORw0K\/Ggo", "iVBORw0K_Ggo"] {
            let image = image.repeat(5_000);
            let body =
                format!(r#"{{"a":"{text}","u":"data:image/png;base64,{image}","b":"{escaped}"}}"#);
            let want = (body.len() - image.len()) as u64;
            let size = text_bytes(body.as_bytes());
            assert!(
                size.abs_diff(want) <= 2 * STRETCH as u64,
                "{size} for {want}"
            );
        }
        assert_eq!(text_bytes(text.as_bytes()), text.len() as u64);
        assert_eq!(text_bytes(escaped.as_bytes()), escaped.len() as u64);
    }

    #[test]
    fn what_is_kept_does_not_show() {
        let kept = Prompt::of(Endpoint::ChatCompletions, b"secret");
        assert_eq!(format!("{kept:?}"), "Whole(6 bytes)");
        let large = Prompt::of(Endpoint::ChatCompletions, &vec![b' '; EXACT_BYTES + 1]);
        assert!(matches!(large, Prompt::Bytes(_)));
        assert_eq!(large.tokens(&O200K, EXACT_BYTES), 8_193);
        let none = Prompt::of(Endpoint::Speech, b"{}");
        assert!(matches!(none, Prompt::Uncounted));
    }

    proptest! {
        #[test]
        fn damaged_bodies_never_panic(
            body in proptest::collection::vec(any::<u8>(), 0..600),
            cut in 0..600_usize,
        ) {
            request_tokens(&body, &O200K);
            text_bytes(&body);
            let json = r#"{"messages":[{"role":"user","content":[{"text":"a\u00e9"}],"n":[1,-1,2.5]}]}"#;
            request_tokens(json.as_bytes().get(..cut).unwrap_or_default(), &O200K);
        }
    }
}
