//! Error replies of the hosts of Claude, as an OpenAI client reads them.

use serde::Deserialize;
use serde_json::Value;

use crate::dialect::converse;
use crate::headers::Headers;
use crate::translate::{ProviderError, error_object, is_json};

/// Type and message of an error reply: `{"error":{..}}` of Anthropic (`type`) and of Google
/// (`status`), `{"error":".."}`, `{"message":".."}` of AWS. `unnamed` is the type of errors that
/// tell none; what cannot be read is passed on as text.
pub(crate) fn provider_error(headers: &Headers, body: &[u8], unnamed: &str) -> ProviderError {
    let found = if is_json(headers) {
        error_object(body).unwrap_or_default()
    } else {
        Value::Null
    };
    let text = |value: Option<&Value>| {
        let text = value?.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let error = found.get("error");
    let of_error = |name: &str| text(error?.get(name));
    ProviderError {
        kind: of_error("type")
            .or_else(|| of_error("status"))
            .unwrap_or_else(|| unnamed.to_owned()),
        message: of_error("message")
            .or_else(|| text(error))
            .or_else(|| text(found.get("message")))
            .or_else(|| {
                let text = String::from_utf8_lossy(body);
                (!text.is_empty()).then(|| text.into_owned())
            }),
    }
}

/// An error reply of Claude on AWS: the service's own, or one of Claude handed on.
pub(crate) fn aws_error(headers: &Headers, body: &[u8]) -> ProviderError {
    let service = converse::provider_error(headers, body);
    if service.message.is_some() {
        return service;
    }
    let claude = provider_error(headers, body, &service.kind);
    match headers.get_str("x-amzn-errortype") {
        None | Some("") => claude,
        Some(_) => ProviderError {
            message: claude.message,
            ..service
        },
    }
}

/// Whether an error reply is in Anthropic's own shape.
pub(crate) fn is_native_error(headers: &Headers, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Native {
        r#type: String,
        #[expect(dead_code, reason = "has to be there")]
        error: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        #[expect(dead_code, reason = "has to be there")]
        r#type: String,
    }
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let text = std::str::from_utf8(body).unwrap_or_default();
    let native = serde_json::from_str::<Native>(text);
    is_object && is_json(headers) && native.is_ok_and(|native| native.r#type == "error")
}

/// An error reply that is not in Anthropic's own shape already: `None` when it is.
pub(crate) fn foreign_error(
    headers: &Headers,
    body: &[u8],
    unnamed: &str,
) -> Option<ProviderError> {
    (!is_native_error(headers, body)).then(|| provider_error(headers, body, unnamed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(content_type: &str, body: &str) -> (String, Option<String>) {
        let mut headers = Headers::new();
        headers.push(b"content-type", content_type.as_bytes());
        let error = provider_error(&headers, body.as_bytes(), "HostError");
        (error.kind, error.message)
    }

    #[test]
    fn every_shape_gives_a_type_and_a_message() {
        let json = "application/json; charset=utf-8";
        for (content_type, body, kind, message) in [
            (
                json,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
                "overloaded_error",
                "busy",
            ),
            (
                json,
                r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"quota"}}"#,
                "RESOURCE_EXHAUSTED",
                "quota",
            ),
            (
                json,
                r#"[{"error":{"code":429,"message":"quota"}}]"#,
                "HostError",
                "quota",
            ),
            (json, r#"{"message":"too small"}"#, "HostError", "too small"),
            (json, r#"{"error":"just text"}"#, "HostError", "just text"),
            (
                json,
                r#"[{"error":{"status":"UNAVAILABLE","message":"busy"}},{"error":{}}]"#,
                "UNAVAILABLE",
                "busy",
            ),
            (
                json,
                r#"{"error":{"type":5,"message":"odd"},"message":7}"#,
                "HostError",
                "odd",
            ),
            (json, r#""text""#, "HostError", r#""text""#),
            (json, "[]", "HostError", "[]"),
            (json, "not json", "HostError", "not json"),
            ("text/html", "<h1>busy</h1>", "HostError", "<h1>busy</h1>"),
        ] {
            let want = (kind.to_owned(), Some(message.to_owned()));
            assert_eq!(error(content_type, body), want, "{body}");
        }
        assert_eq!(error("text/plain", "").1, None);
    }

    #[test]
    fn aws_names_its_own_errors_and_hands_on_those_of_claude() {
        let native = br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        for (header, body, kind, message) in [
            ("E:http://x/", &br#"{"message":"m"}"#[..], "E", "m"),
            ("", native, "overloaded_error", "busy"),
            ("ModelErrorException", native, "ModelErrorException", "busy"),
            ("", b"[1]", "AWSBedrockBackendError", "[1]"),
        ] {
            let headers: Headers = [
                ("content-type", "application/json"),
                ("x-amzn-errortype", header),
            ]
            .into_iter()
            .collect();
            let error = aws_error(&headers, body);
            assert_eq!(error.kind, kind);
            assert_eq!(error.message.as_deref(), Some(message));
        }
    }

    #[test]
    fn only_objects_of_its_shape_are_anthropics() {
        let headers: Headers = [("content-type", "application/json")].into_iter().collect();
        for (body, native) in [
            (r#"{"type":"error","error":{"type":"x"}}"#, true),
            (r#"{"type":"error","error":{"message":"x"}}"#, false),
            (r#"{"error":{"type":"x"}}"#, false),
            (r#"["error",["x"]]"#, false),
        ] {
            assert_eq!(is_native_error(&headers, body.as_bytes()), native, "{body}");
        }
    }
}
