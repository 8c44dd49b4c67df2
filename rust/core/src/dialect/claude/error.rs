//! Error replies of the hosts of Claude, as an OpenAI client reads them.

use serde::Deserialize;

use crate::headers::Headers;
use crate::translate::{ProviderError, is_json};

/// `{"error":{..}}` of Anthropic (`type`) and of Google (`status`), `{"message":".."}` of AWS.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    error: Fault,
    message: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    r#type: Option<String>,
    status: Option<String>,
    message: Option<String>,
}

/// Type and message of an error reply. `unnamed` is the type of errors that tell none; what
/// cannot be read is passed on as text.
pub(crate) fn provider_error(headers: &Headers, body: &[u8], unnamed: &str) -> ProviderError {
    let fault = if is_json(headers) { read(body) } else { None };
    let fault = fault.unwrap_or_default();
    let named = |name: Option<String>| name.filter(|name| !name.is_empty());
    ProviderError {
        kind: named(fault.r#type)
            .or(named(fault.status))
            .unwrap_or_else(|| unnamed.to_owned()),
        message: fault.message.or_else(|| {
            let text = String::from_utf8_lossy(body);
            (!text.is_empty()).then(|| text.into_owned())
        }),
    }
}

/// An error reply that is not in Anthropic's own shape already: `None` when it is.
pub(crate) fn foreign_error(
    headers: &Headers,
    body: &[u8],
    unnamed: &str,
) -> Option<ProviderError> {
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
    let native = serde_json::from_slice::<Native>(body);
    if is_json(headers) && native.is_ok_and(|native| native.r#type == "error") {
        return None;
    }
    Some(provider_error(headers, body, unnamed))
}

/// Google wraps some errors into an array of one.
fn read(body: &[u8]) -> Option<Fault> {
    let envelope = serde_json::from_slice::<[Envelope; 1]>(body).map(|[envelope]| envelope);
    let envelope = envelope.or_else(|_| serde_json::from_slice::<Envelope>(body));
    envelope.ok().map(|envelope| Fault {
        message: envelope.error.message.or(envelope.message),
        ..envelope.error
    })
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
            (
                json,
                r#"{"error":"just text"}"#,
                "HostError",
                r#"{"error":"just text"}"#,
            ),
            (json, "not json", "HostError", "not json"),
            ("text/html", "<h1>busy</h1>", "HostError", "<h1>busy</h1>"),
        ] {
            let want = (kind.to_owned(), Some(message.to_owned()));
            assert_eq!(error(content_type, body), want, "{body}");
        }
        assert_eq!(error("text/plain", "").1, None);
    }
}
