//! Errors of the Bedrock Runtime: replies outside 2xx, and exceptions inside a stream.

use serde::Deserialize;

use crate::error::Error;
use crate::framing::Event;
use crate::headers::Headers;
use crate::translate::{ProviderError, is_json};

/// Type of errors that name none.
const UNNAMED: &str = "AWSBedrockBackendError";

/// The id that a reply goes by.
pub(crate) fn request_id(headers: &Headers) -> Option<&str> {
    headers
        .get_str("x-amzn-requestid")
        .filter(|id| !id.is_empty())
}

/// Services behind the API differ in the case of the member.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    message: Option<String>,
    #[serde(rename = "Message")]
    capital: Option<String>,
}

impl Fault {
    /// `None` when the body is no JSON object.
    fn read(body: &[u8]) -> Option<Self> {
        // A JSON array would be read as the members in order.
        body.trim_ascii_start().first().filter(|b| **b == b'{')?;
        serde_json::from_slice(body).ok()
    }

    fn text(self) -> Option<String> {
        let mut texts = [self.message, self.capital].into_iter().flatten();
        texts.find(|text| !text.is_empty())
    }
}

/// Type and message of an error reply. The type is a header; AWS may append `:` and a URL.
pub(crate) fn provider_error(headers: &Headers, body: &[u8]) -> ProviderError {
    let fault = if is_json(headers) {
        Fault::read(body)
    } else {
        None
    };
    let Some(fault) = fault else {
        let text = String::from_utf8_lossy(body);
        return ProviderError {
            kind: UNNAMED.to_owned(),
            message: (!text.is_empty()).then(|| text.into_owned()),
        };
    };
    let header = headers.get_str("x-amzn-errortype").unwrap_or_default();
    let kind = header.split(':').next().unwrap_or_default().trim();
    ProviderError {
        kind: if kind.is_empty() { UNNAMED } else { kind }.to_owned(),
        message: fault.text(),
    }
}

/// An exception message of a stream.
pub(crate) fn exception(event: Event<'_>) -> Error {
    let message = match Fault::read(event.data) {
        Some(fault) => fault.text(),
        None => Some(String::from_utf8_lossy(event.data).into_owned()),
    };
    Error::UpstreamStream {
        status: status(event.name),
        kind: if event.name.is_empty() {
            UNNAMED
        } else {
            event.name
        }
        .to_owned(),
        message: message
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "the provider reported an error".to_owned()),
    }
}

/// The status that the same exception has outside a stream.
fn status(exception: &str) -> u16 {
    match exception.to_ascii_lowercase().as_str() {
        "validationexception" => 400,
        "accessdeniedexception" => 403,
        "resourcenotfoundexception" => 404,
        "modeltimeoutexception" => 408,
        "modelerrorexception" | "modelstreamerrorexception" => 424,
        "throttlingexception" | "modelnotreadyexception" | "servicequotaexceededexception" => 429,
        "internalserverexception" => 500,
        "serviceunavailableexception" => 503,
        _ => 502,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(content_type: &str, kind: &str, body: &str) -> (String, Option<String>) {
        let mut headers = Headers::new();
        headers.push(b"content-type", content_type.as_bytes());
        headers.push(b"x-amzn-errortype", kind.as_bytes());
        let error = provider_error(&headers, body.as_bytes());
        (error.kind, error.message)
    }

    #[test]
    fn every_shape_gives_a_type_and_what_there_is_of_a_message() {
        let json = "application/json";
        for (content_type, header, body, kind, message) in [
            (json, "E:http://x/", r#"{"message":"m"}"#, "E", Some("m")),
            (json, "E", r#"{"message":"","Message":"m"}"#, "E", Some("m")),
            (json, "", r#"{"message":"m"}"#, UNNAMED, Some("m")),
            (json, "E", "{}", "E", None),
            (json, "E", r#"["m"]"#, UNNAMED, Some(r#"["m"]"#)),
            (json, "E", "{broken", UNNAMED, Some("{broken")),
            ("text/html", "E", "busy", UNNAMED, Some("busy")),
            ("text/html", "E", "", UNNAMED, None),
        ] {
            let want = (kind.to_owned(), message.map(str::to_owned));
            assert_eq!(error(content_type, header, body), want, "{body}");
        }
    }
}
