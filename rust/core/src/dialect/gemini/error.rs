//! Google's errors, as replies and inside a stream.

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::translate::ProviderError;
use crate::wire::gemini::Raw;

/// Type of errors that tell none.
const UNNAMED: &str = "GCPVertexAIBackendError";

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Fault<'a> {
    code: Value,
    status: Value,
    message: Value,
    #[serde(borrow)]
    details: Option<Raw<'a>>,
}

impl<'a> Fault<'a> {
    /// What stands at `error`: an object, or a text alone.
    fn read(raw: Raw<'a>) -> Self {
        let text = serde_json::from_str::<String>(raw.get()).ok();
        text.map_or_else(
            || serde_json::from_str(raw.get()).unwrap_or_default(),
            |text| Self {
                message: text.into(),
                ..Self::default()
            },
        )
    }

    /// The error in a body. Google wraps some into an array.
    fn find(body: &'a [u8]) -> Option<Self> {
        let wrapped = serde_json::from_slice::<Vec<Envelope<'a>>>(body).ok();
        let envelope = wrapped.and_then(|all| all.into_iter().next());
        let envelope = envelope.or_else(|| serde_json::from_slice(body).ok())?;
        Some(Self::read(envelope.error))
    }

    fn kind(&self) -> &str {
        let status = self.status.as_str().filter(|status| !status.is_empty());
        status.unwrap_or(UNNAMED)
    }

    fn message(&self) -> Option<&str> {
        self.message.as_str().filter(|text| !text.is_empty())
    }

    fn text(&self) -> Option<String> {
        let message = self.message()?;
        let details = self.details.filter(|raw| raw.get() != "null");
        Some(match details {
            Some(raw) => format!("Error: {message}\nDetails: {}", raw.get()),
            None => message.to_owned(),
        })
    }

    fn stream_error(&self) -> Error {
        let code = match &self.code {
            Value::String(code) => code.parse().ok(),
            code => code.as_u64().and_then(|code| u16::try_from(code).ok()),
        };
        Error::UpstreamStream {
            status: code.filter(|code| (400..600).contains(code)).unwrap_or(502),
            kind: self.kind().to_owned(),
            message: self
                .message()
                .unwrap_or("the provider reported an error")
                .to_owned(),
        }
    }
}

/// Type and message of an error reply. What cannot be read is passed on as text, whatever its
/// content type.
pub(crate) fn provider_error(body: &[u8]) -> ProviderError {
    let fault = Fault::find(body).unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    ProviderError {
        kind: fault.kind().to_owned(),
        message: fault
            .text()
            .or_else(|| (!text.is_empty()).then(|| text.into_owned())),
    }
}

/// An error in place of a reply in a stream.
pub(super) fn stream_error(raw: Raw<'_>) -> Error {
    Fault::read(raw).stream_error()
}

/// An error in an event that is no reply.
pub(super) fn wrapped_error(event: &[u8]) -> Option<Error> {
    Some(Fault::find(event)?.stream_error())
}
