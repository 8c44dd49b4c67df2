//! Model ids and ARNs: as path segments of AWS APIs, and what they tell.

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

/// The name that tells what kind of model it is. The ARN of an application inference profile, or
/// of a model of one's own, tells nothing; then it is what the client calls it.
pub(crate) fn known_as<'a>(model: &'a str, requested: &'a str) -> &'a str {
    let id = model.rsplit('/').next().unwrap_or(model);
    // Ids of models begin with their vendor: `anthropic.claude`.
    if model.starts_with("arn:") && !id.contains('.') {
        requested
    } else {
        model
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
    fn only_an_arn_without_a_vendor_is_known_by_another_name() {
        let arn = |tail: &str| format!("arn:aws:bedrock:eu-west-3:111122223333:{tail}");
        for (model, other) in [
            (arn("application-inference-profile/a1b2c3"), true),
            (arn("provisioned-model/abc"), true),
            (arn("inference-profile/eu.amazon.nova-lite-v1:0"), false),
            ("amazon.nova-lite-v1:0".to_owned(), false),
            ("alias".to_owned(), false),
        ] {
            let want = if other { "claude" } else { &model };
            assert_eq!(known_as(&model, "claude"), want);
        }
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
