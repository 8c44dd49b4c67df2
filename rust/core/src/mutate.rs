//! Header and body changes that users configure per backend.

use serde::Deserialize;

use crate::edit;
use crate::headers::{HeaderEdits, Headers};

/// Header changes: removals first, then sets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HeaderMutation {
    /// Headers to set.
    pub set: Vec<NameValue>,
    /// Headers to remove.
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Deserialize)]
pub struct NameValue {
    /// Lower-case name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// JSON body changes, applied to the body in the provider's schema.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BodyMutation {
    /// Members to set.
    pub set: Vec<PathValue>,
    /// Members to remove.
    pub remove: Vec<String>,
}

/// A member.
#[derive(Clone, Debug, Deserialize)]
pub struct PathValue {
    /// Dot path; `\.` is a dot in a name, a number an array index, `-1` appends.
    pub path: String,
    /// JSON text, or plain text for a string.
    pub value: String,
}

/// True for names that no mutation may touch: framing, routing and gateway-internal headers.
pub fn is_protected(name: &str) -> bool {
    name.starts_with(':')
        || name.starts_with("x-ai-eg-")
        || name.starts_with("x-envoy-")
        || matches!(
            name,
            "content-length" | "transfer-encoding" | "host" | "connection"
        )
}

impl HeaderMutation {
    /// Checks names and values.
    ///
    /// # Errors
    /// Names the header.
    pub fn check(&self) -> Result<(), String> {
        for NameValue { name, value } in &self.set {
            if is_protected(&name.to_ascii_lowercase()) {
                return Err(format!("header_mutation.set: {name} cannot be changed"));
            }
            if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return Err(format!(
                    "header_mutation.set: the value of {name} has a line break"
                ));
            }
        }
        Ok(())
    }

    /// Adds the changes to `edits`; `head` tells which removals have something to remove.
    pub(crate) fn apply(&self, head: &Headers, edits: &mut HeaderEdits) {
        for name in &self.remove {
            let name = name.to_ascii_lowercase();
            if !is_protected(&name) && (head.get(&name).is_some() || edits.value(&name).is_some()) {
                edits.remove(&name);
            }
        }
        for NameValue { name, value } in &self.set {
            let name = name.to_ascii_lowercase();
            if !is_protected(&name) {
                edits.set(&name, value.as_bytes());
            }
        }
    }
}

impl BodyMutation {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Checks that every value is JSON where it looks like JSON.
    ///
    /// # Errors
    /// Names the path.
    pub fn check(&self) -> Result<(), String> {
        for PathValue { path, value } in &self.set {
            typed(value)
                .map_err(|()| format!("body_mutation.set: {path}: the value is not valid JSON"))?;
        }
        Ok(())
    }

    /// The changed body, or `None` when `body` is not a JSON object (it is left alone then).
    /// Bytes that are not edited stay as they are.
    pub fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace());
        if start.and_then(|at| body.get(at)) != Some(&b'{') {
            return None;
        }
        let mut text = body.to_vec();
        for path in self.remove.iter().filter(|path| !path.is_empty()) {
            text = edit::remove(&text, &segments(path)).unwrap_or(text);
        }
        for PathValue { path, value } in self.set.iter().filter(|set| !set.path.is_empty()) {
            if let Ok(value) = typed(value) {
                text = edit::set(&text, &segments(path), &value).unwrap_or(text);
            }
        }
        Some(text)
    }
}

/// The JSON text that a configured text stands for.
fn typed(text: &str) -> Result<Vec<u8>, ()> {
    let trimmed = text.trim();
    let first = trimmed.as_bytes().first().copied().unwrap_or_default();
    let last = trimmed.as_bytes().last().copied().unwrap_or_default();
    let number = (first.is_ascii_digit() || matches!(first, b'-' | b'+'))
        && trimmed
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    let json = matches!(trimmed, "true" | "false" | "null")
        || (trimmed.len() > 1
            && matches!((first, last), (b'"', b'"') | (b'{', b'}') | (b'[', b']')))
        || number;
    if !json {
        return serde_json::to_vec(text).map_err(|_| ());
    }
    serde_json::from_str::<serde::de::IgnoredAny>(trimmed).map_err(|_| ())?;
    Ok(trimmed.as_bytes().to_vec())
}

fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => push(&mut segments, chars.next().unwrap_or('\\')),
            '.' => segments.push(String::new()),
            other => push(&mut segments, other),
        }
    }
    segments
}

fn push(segments: &mut [String], c: char) {
    if let Some(last) = segments.last_mut() {
        last.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(set: &[(&str, &str)], remove: &[&str]) -> BodyMutation {
        BodyMutation {
            set: set
                .iter()
                .map(|(p, v)| PathValue {
                    path: (*p).into(),
                    value: (*v).into(),
                })
                .collect(),
            remove: remove.iter().map(|p| (*p).into()).collect(),
        }
    }

    #[test]
    fn values_are_typed_by_their_shape() {
        let body = mutation(
            &[
                ("a", "1"),
                ("b", "text"),
                ("c.d", r#"{"x":[1]}"#),
                ("e", "true"),
                ("l.-1", "\"s\""),
                (r"k\.k", "null"),
            ],
            &["gone", "in.ner"],
        )
        .apply(br#"{"z":9,"gone":1,"in":{"ner":1,"o":2},"l":[0]}"#)
        .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let want = serde_json::json!({"z":9,"in":{"o":2},"l":[0,"s"],"a":1,"b":"text",
            "c":{"d":{"x":[1]}},"e":true,"k.k":null});
        assert_eq!(body, want);
    }

    #[test]
    fn invalid_json_values_are_refused_at_load() {
        for bad in ["1.2.3", "{broken}", "+7", "-", "1e"] {
            assert!(mutation(&[("a", bad)], &[]).check().is_err(), "{bad}");
        }
        assert!(mutation(&[("a", "plain text")], &[]).check().is_ok());
    }

    #[test]
    fn a_body_that_is_not_an_object_is_left_alone() {
        assert_eq!(mutation(&[("a", "1")], &[]).apply(b"--boundary"), None);
    }

    #[test]
    fn protected_headers_are_never_touched() {
        let mutation = HeaderMutation {
            set: vec![NameValue {
                name: "Content-Length".into(),
                value: "3".into(),
            }],
            remove: vec!["host".into(), "COOKIE".into()],
        };
        assert!(mutation.check().is_err());
        let head: Headers = [("cookie", "c"), ("host", "h")].into_iter().collect();
        let mut edits = HeaderEdits::new();
        mutation.apply(&head, &mut edits);
        assert_eq!(edits.names().collect::<Vec<_>>(), ["cookie"]);
    }
}
