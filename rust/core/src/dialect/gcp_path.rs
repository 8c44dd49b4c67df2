//! Paths of Vertex AI behind project and location, which the credential adds.

use std::fmt::Write as _;

/// `/publishers/{publisher}/models/{model}:{method}`, the model as one escaped segment.
pub(crate) fn publisher_path(publisher: &str, model: &str, method: &str) -> String {
    let mut path = format!("/publishers/{publisher}/models/");
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@:".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push(':');
    path.push_str(method);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_one_segment() {
        assert_eq!(
            publisher_path("anthropic", "claude-x@20250929", "rawPredict"),
            "/publishers/anthropic/models/claude-x@20250929:rawPredict"
        );
        assert_eq!(
            publisher_path("google", "../x?y", "m"),
            "/publishers/google/models/..%2Fx%3Fy:m"
        );
    }
}
