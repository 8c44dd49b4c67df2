//! Request scan: checks JSON syntax and finds the few fields that the gateway reads, as spans.
//!
//! Nothing is copied but the model name; the rest of the body is never looked at again on a
//! passthrough.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::endpoint::{Endpoint, Streaming};
use crate::error::{Error, Result};

/// Byte range in the scanned body.
pub(crate) type Span = Range<usize>;

/// What the gateway reads of a request.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own, not states"
)]
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
    /// Position of the closing brace.
    pub(crate) end: usize,
    /// Length of the body.
    pub(crate) length: usize,
    /// The body is a multipart form; members of an object are not there.
    pub(crate) is_form: bool,
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
    let span = |raw: &RawValue| span_in(body, raw.get());
    let refuse = |field: &str, want: &str| malformed(&format!("{field}: {want} is expected"));
    let mut scan = Scan {
        empty_object: fields.members == 0,
        length: body.len(),
        end: body
            .iter()
            .rposition(|byte| *byte == b'}')
            .unwrap_or(body.len()),
        ..Scan::default()
    };
    if let Some(raw) = fields.model {
        let model: Option<String> =
            serde_json::from_str(raw.get()).map_err(|_| refuse("model", "a string"))?;
        scan.model = model.unwrap_or_default();
        scan.model_span = span(raw);
    }
    match endpoint.streaming() {
        Streaming::Never => {}
        Streaming::Member => {
            if let Some(raw) = fields.stream {
                let stream: Option<bool> =
                    serde_json::from_str(raw.get()).map_err(|_| refuse("stream", "a boolean"))?;
                scan.stream = stream.unwrap_or(false);
            }
        }
        Streaming::Format => {
            scan.stream = fields
                .stream_format
                .is_some_and(|raw| raw.get() == "\"sse\"");
        }
    }
    if let Some(raw) = fields.stream_options.filter(|_| scan.stream) {
        let options: Option<StreamOptions> = serde_json::from_str(raw.get())
            .map_err(|_| refuse("stream_options", "an object with a boolean include_usage"))?;
        scan.include_usage = options.is_some_and(|o| o.include_usage == Some(true));
        scan.stream_options = span(raw);
    }
    Ok(scan)
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

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Default)]
struct Fields<'a> {
    model: Option<&'a RawValue>,
    stream: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    stream_format: Option<&'a RawValue>,
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
            let slot = match key {
                Key::Model => &mut fields.model,
                Key::Stream => &mut fields.stream,
                Key::StreamOptions => &mut fields.stream_options,
                Key::StreamFormat => &mut fields.stream_format,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<&RawValue>()?;
            // Two values would mean one thing to us and maybe another to the provider.
            if slot.replace(value).is_some() {
                return Err(A::Error::duplicate_field(key.name()));
            }
        }
        Ok(fields)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Model,
    Stream,
    StreamOptions,
    StreamFormat,
    #[serde(other)]
    Other,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::StreamFormat => "stream_format",
            Self::Other => "",
        }
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
    fn wrong_types_and_duplicates_name_the_field() {
        for (body, part) in [
            (r#"{"model":1}"#, "model: a string"),
            (r#"{"stream":"yes"}"#, "stream: a boolean"),
            (
                r#"{"stream_options":{},"stream_options":null}"#,
                "duplicate field `stream_options`",
            ),
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
