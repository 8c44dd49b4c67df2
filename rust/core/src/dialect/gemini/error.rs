//! Google's errors, as replies and inside a stream.

use serde::Deserialize;

use crate::error::Error;
use crate::translate::ProviderError;
use crate::wire::gemini::Raw;

/// Type of errors that tell none.
const UNNAMED: &str = "GCPVertexAIBackendError";

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Fault<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Fault<'a> {
    code: Option<u16>,
    status: Option<String>,
    message: Option<String>,
    #[serde(borrow)]
    details: Option<Raw<'a>>,
}

impl Fault<'_> {
    fn text(&self) -> Option<String> {
        let message = self.message.as_deref()?;
        let details = self.details.filter(|raw| raw.get() != "null");
        Some(match details {
            Some(raw) => format!("Error: {message}\nDetails: {}", raw.get()),
            None => message.to_owned(),
        })
    }
}

/// Type and message of an error reply; Google wraps some into an array of one. What cannot be
/// read is passed on as text, whatever its content type.
pub(crate) fn provider_error(body: &[u8]) -> ProviderError {
    let wrapped = serde_json::from_slice::<[Envelope<'_>; 1]>(body).map(|[envelope]| envelope);
    let envelope = wrapped.or_else(|_| serde_json::from_slice::<Envelope<'_>>(body));
    let fault = envelope.map(|envelope| envelope.error).unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    ProviderError {
        kind: fault
            .status
            .clone()
            .filter(|status| !status.is_empty())
            .unwrap_or_else(|| UNNAMED.to_owned()),
        message: fault
            .text()
            .or_else(|| (!text.is_empty()).then(|| text.into_owned())),
    }
}

/// An error in place of a reply in a stream.
pub(crate) fn stream_error(raw: Raw<'_>) -> Error {
    let fault: Fault<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    Error::UpstreamStream {
        status: fault
            .code
            .filter(|code| (400..600).contains(code))
            .unwrap_or(502),
        kind: fault.status.unwrap_or_else(|| UNNAMED.to_owned()),
        message: fault
            .message
            .unwrap_or_else(|| "the provider reported an error".into()),
    }
}
