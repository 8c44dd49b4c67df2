//! Request scan: checks JSON syntax and finds the few fields that the gateway reads, as spans.
//!
//! Nothing is copied but the model name; the rest of the body is never looked at again on a
//! passthrough.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::endpoint::{ClientApi, Endpoint, Streaming};
use crate::error::{Error, Result};
use crate::form::FormLines;
use crate::wire::{Members, Text};

/// Most values that one field may have: each may grow to the length of a model override.
pub(crate) const MAX_VALUES: usize = 16;

/// Byte range in the scanned body.
pub(crate) type Span = Range<usize>;

/// What the gateway reads of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// `model`, decoded; empty when absent or null.
    pub(crate) model: String,
    /// The value of `model`.
    pub(crate) model_span: Option<Span>,
    /// `stream` is true.
    pub(crate) stream: bool,
    /// The value of `stream_options`.
    pub(crate) stream_options: Option<Span>,
    /// `stream_options.include_usage` is true.
    pub(crate) include_usage: bool,
    /// The top-level object has no member.
    pub(crate) empty_object: bool,
    /// Position of the closing brace, or of a form's last delimiter.
    pub(crate) end: usize,
    /// Length of the body.
    pub(crate) length: usize,
    /// The body is a multipart form, with these lines; members of an object are not there.
    pub(crate) form_lines: Option<FormLines>,
    /// Values of these fields that another one follows under the same name. The last one
    /// counts here; a provider may take the first, so they must not differ.
    pub(crate) repeated: Vec<Repeated>,
    /// Those of thinking in Anthropic's messages.
    pub(crate) signatures: Signatures,
}

/// The signatures of thinking that a client sends back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signatures {
    /// None is empty, as far as they are looked at.
    #[default]
    Given,
    /// Some are empty: the thinking is another model's.
    SomeEmpty,
}

/// A value that a later one of the same name replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) earlier: Span,
    pub(crate) last: Span,
}

impl Scan {
    /// Notes the `earlier` values of a field whose value is `last`.
    pub(crate) fn repeats(&mut self, earlier: impl IntoIterator<Item = Span>, last: &Span) {
        let repeated = earlier.into_iter().map(|earlier| Repeated {
            earlier,
            last: last.clone(),
        });
        self.repeated.extend(repeated);
    }
}

/// Scans a body for `endpoint`.
///
/// # Errors
/// [`Error::MalformedRequest`] with the endpoint's path and the place, never body text.
pub(crate) fn scan(endpoint: Endpoint, body: &[u8]) -> Result<Scan> {
    let malformed = |text: &str| {
        let path = endpoint.path();
        Error::MalformedRequest(format!("failed to parse JSON for {path}: {text}"))
    };
    let fields: Fields<'_> =
        serde_json::from_slice(body).map_err(|error| malformed(&place(&error)))?;
    let refuse = |field: &str, want: &str| malformed(&format!("{field}: {want} is expected"));
    let mut scan = Scan {
        empty_object: fields.members == 0,
        length: body.len(),
        end: body
            .iter()
            .rposition(|byte| *byte == b'}')
            .unwrap_or(body.len()),
        signatures: match endpoint.client_api() {
            ClientApi::Anthropic if has_empty_signature(body) => Signatures::SomeEmpty,
            ClientApi::Anthropic | ClientApi::OpenAI | ClientApi::Cohere => Signatures::Given,
        },
        ..Scan::default()
    };
    if let Some(raw) = fields.model.last {
        let model: Option<String> =
            serde_json::from_str(raw.get()).map_err(|_| refuse("model", "a string"))?;
        scan.model = model.unwrap_or_default();
        scan.model_span = fields.model.note(body, &mut scan);
    }
    match endpoint.streaming() {
        Streaming::Never => {}
        Streaming::Member => {
            if let Some(raw) = fields.stream.last {
                let stream: Option<bool> =
                    serde_json::from_str(raw.get()).map_err(|_| refuse("stream", "a boolean"))?;
                scan.stream = stream.unwrap_or(false);
                fields.stream.note(body, &mut scan);
            }
        }
        Streaming::Format => {
            let format = fields.stream_format.last.map(RawValue::get);
            let format = format.and_then(|raw| serde_json::from_str::<Text<'_>>(raw).ok());
            scan.stream = format.is_some_and(|format| format == "sse");
            fields.stream_format.note(body, &mut scan);
        }
    }
    if let Some(raw) = fields.stream_options.last.filter(|_| scan.stream) {
        scan.include_usage = includes_usage(raw)
            .map_err(|_| refuse("stream_options", "an object with a boolean include_usage"))?;
        scan.stream_options = fields.stream_options.note(body, &mut scan);
    }
    Ok(scan)
}

/// Whether a member `signature` is an empty string. In strings its quotes are escaped.
pub(crate) fn has_empty_signature(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"signature\"";
    memchr::memmem::find_iter(body, NAME).any(|at| {
        let behind = body.get(at + NAME.len()..).unwrap_or_default();
        let value = behind.trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\"\""))
    })
}

/// Checks what `/tokenize` takes beyond a model: one of two forms.
///
/// # Errors
/// [`Error::MalformedRequest`] with the rule that is broken.
pub(crate) fn check_tokenize(body: &[u8]) -> Result<()> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Forms {
        model: Option<String>,
        prompt: Option<IgnoredAny>,
        messages: Option<IgnoredAny>,
        add_generation_prompt: Option<bool>,
        continue_final_message: Option<bool>,
    }
    let malformed = |text: &str| Err(Error::MalformedRequest(text.to_owned()));
    let forms: Forms = serde_json::from_slice(body).map_err(|error| {
        let text = format!("failed to parse JSON for /tokenize: {}", place(&error));
        Error::MalformedRequest(text)
    })?;
    if forms.prompt.is_some() && forms.messages.is_some() {
        return malformed(
            "failed to parse JSON for /tokenize: tokenize request must have either 'prompt' or \
             'messages', not both",
        );
    }
    if forms.model.is_none_or(|model| model.is_empty()) {
        return malformed("invalid tokenize request: model is required");
    }
    let generates = forms.messages.is_some() && forms.add_generation_prompt != Some(false);
    if generates && forms.continue_final_message == Some(true) {
        return malformed(
            "invalid tokenize request: cannot set both continue_final_message and \
             add_generation_prompt to true",
        );
    }
    Ok(())
}

/// Error text without body content: serde's own texts may quote it.
pub(crate) fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "unexpected end of input",
        serde_json::error::Category::Syntax => "invalid syntax",
        serde_json::error::Category::Data => {
            let text = error.to_string();
            // These two name fields of ours only.
            if text.starts_with("duplicate field ") || text.starts_with("missing field ") {
                return text;
            }
            "unexpected value"
        }
        serde_json::error::Category::Io => "unreadable input",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

fn span_in(body: &[u8], part: &str) -> Option<Span> {
    let start = (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= body.len()).then_some(start..end)
}

/// Whether the options ask for usage, whichever of their members a provider reads.
fn includes_usage(options: &RawValue) -> serde_json::Result<bool> {
    let options: Option<Members<'_>> = serde_json::from_str(options.get())?;
    let options = options.unwrap_or_default().0;
    let mut wishes = options.iter().filter(|(name, _)| name == "include_usage");
    let first = wishes.next().map(|(_, raw)| *raw);
    let rest = wishes.map(|(_, raw)| *raw);
    let mut all = first.is_some();
    for raw in first.into_iter().chain(rest) {
        all &= serde_json::from_str::<Option<bool>>(raw.get())? == Some(true);
    }
    Ok(all)
}

/// The values of one member.
#[derive(Default)]
struct Values<'a> {
    last: Option<&'a RawValue>,
    earlier: Vec<&'a RawValue>,
}

impl<'a> Values<'a> {
    fn push(&mut self, value: &'a RawValue) {
        self.earlier.extend(self.last.replace(value));
    }

    /// Where the last value stands; the scan learns of the others.
    fn note(&self, body: &[u8], scan: &mut Scan) -> Option<Span> {
        let span = |raw: &RawValue| span_in(body, raw.get());
        let last = span(self.last?)?;
        scan.repeats(self.earlier.iter().filter_map(|raw| span(raw)), &last);
        Some(last)
    }
}

#[derive(Default)]
struct Fields<'a> {
    model: Values<'a>,
    stream: Values<'a>,
    stream_options: Values<'a>,
    stream_format: Values<'a>,
    members: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error as _;
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Key>()? {
            fields.members += 1;
            let (name, values) = match key {
                Key::Model => ("model", &mut fields.model),
                Key::Stream => ("stream", &mut fields.stream),
                Key::StreamOptions => ("stream_options", &mut fields.stream_options),
                Key::StreamFormat => ("stream_format", &mut fields.stream_format),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if values.earlier.len() + 1 == MAX_VALUES {
                return Err(A::Error::duplicate_field(name));
            }
            values.push(map.next_value()?);
        }
        Ok(fields)
    }
}

#[derive(Clone, Copy)]
enum Key {
    Model,
    Stream,
    StreamOptions,
    StreamFormat,
    Other,
}

/// Read as bytes: names that are no UTF-8 are not ours to refuse.
impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, name: &'de [u8]) -> Result<Key, E> {
        // Without escapes the name stands as it is; JSON has no control characters there.
        if name.iter().any(|byte| *byte < b' ') {
            return Err(E::custom("control character in a name"));
        }
        self.visit_bytes(name)
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Key, E> {
        Ok(match name {
            b"model" => Key::Model,
            b"stream" => Key::Stream,
            b"stream_options" => Key::StreamOptions,
            b"stream_format" => Key::StreamFormat,
            _ => Key::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Scan> {
        scan(Endpoint::ChatCompletions, body.as_bytes())
    }

    #[test]
    fn spans_point_at_the_values() {
        let body =
            r#"{"messages":[{"content":"\"model\":\"x\""}], "model" : "m\u0041", "stream":true}"#;
        let scan = chat(body).unwrap();
        assert_eq!(scan.model, "mA");
        assert!(scan.stream);
        assert_eq!(&body[scan.model_span.unwrap()], r#""m\u0041""#);
        assert_eq!(scan.end, body.len() - 1);
    }

    #[test]
    fn wrong_types_name_the_field() {
        for (body, part) in [
            (r#"{"model":1}"#, "model: a string"),
            (r#"{"stream":"yes"}"#, "stream: a boolean"),
            (r#"{"model":"a","model":5}"#, "model: a string"),
            (
                r#"{"stream":true,"stream_options":[]}"#,
                "stream_options: an object",
            ),
            ("{\"a\nb\":1}", "unexpected value"),
            (r#"{"model":"a""#, "unexpected end"),
            ("[1]", "unexpected value"),
            ("", "unexpected end"),
            (r"{} trailing", "invalid syntax"),
        ] {
            let text = chat(body).unwrap_err().to_string();
            assert!(
                text.starts_with(
                    "malformed request: failed to parse JSON for /v1/chat/completions: "
                ),
                "{text}"
            );
            assert!(text.contains(part), "{body}: {text}");
        }
    }

    #[test]
    fn the_last_of_several_values_counts_and_the_others_are_known() {
        let body = r#"{"model":"a","stream":true,"mod\u0065l":"b","stream":false}"#;
        let scan = chat(body).unwrap();
        assert_eq!((scan.model.as_str(), scan.stream), ("b", false));
        let repeated = scan.repeated.iter();
        let repeated: Vec<_> = repeated
            .map(|r| (&body[r.earlier.clone()], &body[r.last.clone()]))
            .collect();
        assert_eq!(repeated, [(r#""a""#, r#""b""#), ("true", "false")]);
        let many = format!("{{{}}}", vec![r#""model":"a""#; 20].join(","));
        let text = chat(&many).unwrap_err().to_string();
        assert!(text.contains("duplicate field `model`"), "{text}");
        let options = |options: &str| {
            let body = format!(r#"{{"stream":true,"stream_options":{options}}}"#);
            chat(&body).unwrap().include_usage
        };
        assert!(options(r#"{"include_usage":true}"#));
        assert!(!options(r#"{"include_usage":false,"include_usage":true}"#));
        assert!(!options(r#"{"include_usage":true,"include_usage":null}"#));
    }

    #[test]
    fn what_is_not_read_is_not_judged() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in [
            format!(r#"{{"model":"m","x":{deep}}}"#).into_bytes(),
            b"{\"model\":\"m\",\"x\":\"\xff\",\"\xfe\":1,\"\\ud800\":\"\\udc00\"}".to_vec(),
            br#"{"model":"m","stream":1,"stream_options":5}"#.to_vec(),
        ] {
            let scan = scan(Endpoint::Embeddings, &body).unwrap();
            assert_eq!(scan.model, "m");
        }
        let scan = scan(Endpoint::Speech, br#"{"stream_format":"s\u0073e"}"#).unwrap();
        assert!(scan.stream);
    }

    #[test]
    fn body_text_is_never_quoted() {
        let text = chat(r#"{"model":"a","messages": secret-prompt}"#)
            .unwrap_err()
            .to_string();
        assert!(!text.contains("secret"));
    }

    #[test]
    fn null_means_absent() {
        let scan = chat(r#"{"model":null,"stream":null,"stream_options":null}"#).unwrap();
        assert_eq!(
            (scan.model.as_str(), scan.stream, scan.include_usage),
            ("", false, false)
        );
    }
}
