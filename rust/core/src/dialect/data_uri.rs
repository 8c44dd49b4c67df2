//! `data:` URIs: how OpenAI clients inline images and files.
//!
//! The payload stays base64 text: every provider wants it in that form, so it is checked and
//! handed on, never decoded as a whole.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Standard alphabet with padding; trailing bits are not looked at, as in most decoders.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// Characters checked at a time; a multiple of 4, so that padding can only end the last piece.
const PIECE: usize = 4096;

/// A parsed `data:` URI.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DataUri<'a> {
    /// Media type with its parameters, as written; may be empty.
    pub(crate) media_type: &'a str,
    /// Standard base64 with padding, without line breaks.
    pub(crate) data: Cow<'a, str>,
}

/// Why a string is not a usable `data:` URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataUriError {
    /// Another scheme, or no scheme.
    OtherScheme,
    /// No comma between media type and payload.
    NoPayload,
    /// The payload is not standard base64.
    BadBase64,
}

/// Parses a `data:` URI. The payload is read as base64 even where `;base64` is missing.
///
/// # Errors
/// See [`DataUriError`].
pub(crate) fn parse(uri: &str) -> Result<DataUri<'_>, DataUriError> {
    let rest = match uri.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("data:") => rest,
        _ => return Err(DataUriError::OtherScheme),
    };
    let (head, payload) = rest.split_once(',').ok_or(DataUriError::NoPayload)?;
    Ok(DataUri {
        media_type: head.strip_suffix(";base64").unwrap_or(head),
        data: base64_text(payload).ok_or(DataUriError::BadBase64)?,
    })
}

/// The text without line breaks when it is standard base64 with padding.
pub(crate) fn base64_text(text: &str) -> Option<Cow<'_, str>> {
    let text = if memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
        Cow::Owned(text.replace(['\r', '\n'], ""))
    } else {
        Cow::Borrowed(text)
    };
    is_base64(text.as_bytes()).then_some(text)
}

fn is_base64(text: &[u8]) -> bool {
    let mut sink = [0; PIECE / 4 * 3];
    let mut pieces = text.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        let padded_too_early = pieces.peek().is_some() && piece.ends_with(b"=");
        if padded_too_early || ENGINE.decode_slice(piece, &mut sink).is_err() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(media_type: &'static str, data: &'static str) -> DataUri<'static> {
        DataUri {
            media_type,
            data: Cow::Borrowed(data),
        }
    }

    #[test]
    fn media_type_keeps_its_parameters() {
        assert_eq!(
            parse("data:image/png;charset=x;base64,AAEC"),
            Ok(uri("image/png;charset=x", "AAEC"))
        );
        assert_eq!(parse("data:;base64,"), Ok(uri("", "")));
    }

    #[test]
    fn payload_without_marker_is_base64_too() {
        assert_eq!(parse("DATA:image/gif,AAA="), Ok(uri("image/gif", "AAA=")));
    }

    #[test]
    fn line_breaks_are_dropped() {
        let parsed = parse("data:image/png;base64,AA\r\nEC\n").unwrap();
        assert_eq!(parsed.data, "AAEC");
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, why) in [
            ("https://example.com/a.png", DataUriError::OtherScheme),
            ("dat", DataUriError::OtherScheme),
            ("data:image/png;base64", DataUriError::NoPayload),
            ("data:image/png;base64,AAE", DataUriError::BadBase64),
            ("data:image/png;base64,A_-=", DataUriError::BadBase64),
            ("data:image/png;base64,AA==AAEC", DataUriError::BadBase64),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn long_payloads_are_checked_to_the_end() {
        let long = "QUJD".repeat(PIECE);
        assert!(base64_text(&long).is_some());
        assert!(base64_text(&format!("{long}=")).is_none());
        let early = format!("{}QQ=={}", "QUJD".repeat(PIECE / 4 - 1), "QUJD");
        assert!(base64_text(&early).is_none());
    }
}
