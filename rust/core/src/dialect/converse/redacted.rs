//! Redacted thinking: Converse has bytes as base64, Anthropic has text.
//!
//! The bytes of Claude are that text. Text that itself looks like base64 is no exception, so
//! bytes that are no text need a mark to be told from it on their way back.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dialect::data_uri::base64_text;
use crate::wire::bedrock::Text;

/// Stands before the base64 of bytes that are no text.
const BYTES: &str = "base64:";

/// Converse's bytes in Anthropic's words.
pub(super) fn to_text(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).ok();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) if !text.starts_with(BYTES) => text,
        _ => format!("{BYTES}{base64}"),
    }
}

/// The bytes for Converse of what Anthropic's clients send back.
pub(super) fn to_bytes(data: &str) -> Text<'_> {
    let marked = data.strip_prefix(BYTES).and_then(base64_text);
    marked
        .unwrap_or_else(|| Cow::Owned(STANDARD.encode(data)))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_and_all_bytes_come_back_as_they_were() {
        for bytes in [
            b"opaque".as_slice(),
            // The base64 of bytes that are no text, which is what Claude sends.
            b"EtMFCkgICxABGAIqQGqBMwBi46+SDEEY3Cs0mCsX5Mdx",
            b"\xff\x00",
            b"base64:/wA=",
            b"base64:",
            b"",
        ] {
            let base64 = STANDARD.encode(bytes);
            assert_eq!(&*to_bytes(&to_text(&base64)), base64, "{bytes:?}");
        }
        assert_eq!(to_text("UkVE"), "RED");
        assert_eq!(to_text("/wA="), "base64:/wA=");
        assert_eq!(&*to_bytes("UkVE"), "VWtWRQ==");
        assert_eq!(&*to_bytes("base64:?"), STANDARD.encode("base64:?"));
    }
}
