//! Paths of Azure OpenAI.

use std::fmt::Write as _;

use crate::translate::Binding;

/// `/openai/deployments/{model}/{tail}` with the API version of the backend.
pub(crate) fn deployment(binding: &Binding<'_>, tail: &str) -> String {
    let mut path = String::from("/openai/deployments/");
    escape(&mut path, binding.model);
    path.push('/');
    path.push_str(tail);
    with_version(path, binding)
}

/// `/openai/{tail}` with the API version of the backend.
pub(crate) fn path(binding: &Binding<'_>, tail: &str) -> String {
    with_version(format!("/openai/{tail}"), binding)
}

fn with_version(mut path: String, binding: &Binding<'_>) -> String {
    path.push_str("?api-version=");
    escape(&mut path, &binding.backend.schema.version);
    path
}

fn escape(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}
