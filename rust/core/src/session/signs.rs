//! What heads and events of replies say about the bytes that follow.

use crate::headers::Headers;

/// An encoding that cannot be undone here.
pub(super) fn is_sealed(headers: &Headers) -> bool {
    let encoding = headers.get_str("content-encoding").unwrap_or_default();
    let encoding = encoding.trim().to_ascii_lowercase();
    !matches!(
        encoding.as_str(),
        "" | "identity" | "gzip" | "x-gzip" | "br"
    )
}

/// A stream by its own content type: some providers answer a stream request with plain JSON,
/// and some servers do not say what their streams are.
pub(super) fn is_stream(headers: &Headers) -> bool {
    let kind = headers.get_str("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    [
        "",
        "text/plain",
        "text/event-stream",
        "application/vnd.amazon.eventstream",
    ]
    .iter()
    .any(|stream| kind.eq_ignore_ascii_case(stream))
}

/// Whether an event, as the client gets it, is the last one of a stream that went well.
pub(super) fn is_last(name: &str, seen: &[u8]) -> bool {
    matches!(
        name,
        "message_stop" | "response.completed" | "response.incomplete"
    ) || seen == b"[DONE]"
        || seen.ends_with(b"data: [DONE]\n\n")
        || seen.ends_with(b"data: {\"type\":\"message_stop\"}\n\n")
}
