//! Path segments of AWS APIs: model ids and ARNs in `:path`.

use std::fmt::Write as _;

/// Appends `text` as one path segment.
///
/// Letters, digits and `-_.~$&+:=@` stand for themselves, so an ARN keeps its colons while its
/// slashes are escaped; all else is percent-encoded per UTF-8 byte. The signature covers the
/// path as it is sent.
pub(crate) fn push_segment(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+:=@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(text: &str) -> String {
        let mut path = String::new();
        push_segment(&mut path, text);
        path
    }

    #[test]
    fn model_ids_stay_readable() {
        assert_eq!(
            segment("amazon.titan-embed-text-v2:0"),
            "amazon.titan-embed-text-v2:0"
        );
    }

    #[test]
    fn an_arn_keeps_colons_and_loses_slashes() {
        assert_eq!(
            segment("arn:aws:bedrock:eu-west-3:111122223333:prompt/P1"),
            "arn:aws:bedrock:eu-west-3:111122223333:prompt%2FP1"
        );
    }

    #[test]
    fn the_rest_is_escaped_byte_by_byte() {
        assert_eq!(segment("a b;é%?#"), "a%20b%3B%C3%A9%25%3F%23");
        assert_eq!(
            segment("$&+:=@~!'()*[],"),
            "$&+:=@~%21%27%28%29%2A%5B%5D%2C"
        );
    }
}
