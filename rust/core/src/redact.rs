//! What debug logs may show: structure, names and numbers, never prompts or secrets.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::headers::{HeaderEdit, HeaderEdits, Headers};

/// Longest text of one body or header list.
const LIMIT: usize = 16 << 10;
/// Keys whose short values name a kind of thing.
const KINDS: &[&str] = &[
    "type",
    "role",
    "model",
    "object",
    "finish_reason",
    "stop_reason",
    "task_type",
];
const KIND_LENGTH: usize = 64;
const HIDDEN: &str = "[REDACTED]";

/// True for headers that carry credentials or sessions. `name` is lower case.
pub fn is_sensitive(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "proxy-authorization"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "cookie"
            | "set-cookie"
            | "x-amz-security-token"
    ) || name.starts_with("x-aigw-")
        || ["-access-key-id", "-secret-access-key", "-session-token"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// Stands for a text: its length in bytes and the start of its SHA-256. Empty stays empty.
pub fn text(value: &[u8]) -> String {
    if value.is_empty() {
        return String::new();
    }
    let digest = Sha256::digest(value);
    let start = digest.first_chunk::<8>().copied().unwrap_or_default();
    let hash = u64::from_be_bytes(start);
    format!("[REDACTED LENGTH={} HASH={hash:016x}]", value.len())
}

/// A header list as a JSON array of `"name: value"`.
pub fn headers(headers: &Headers) -> String {
    let lines = headers.iter().map(|(name, value)| {
        let name = String::from_utf8_lossy(name);
        format!("{name}: {}", shown(&name, value))
    });
    bounded(Value::from(lines.collect::<Vec<_>>()).to_string())
}

/// Header edits as a JSON array of `"name: value"` and `"-name"`.
pub fn edits(edits: &HeaderEdits) -> String {
    let lines = edits.iter().map(|edit| match edit {
        HeaderEdit::Set(name, value) => format!("{name}: {}", shown(name, value)),
        HeaderEdit::Append(name, value) => format!("+{name}: {}", shown(name, value)),
        HeaderEdit::Remove(name) => format!("-{name}"),
    });
    bounded(Value::from(lines.collect::<Vec<_>>()).to_string())
}

fn shown(name: &str, value: &[u8]) -> String {
    if is_sensitive(name) {
        HIDDEN.to_owned()
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

/// A body: JSON with every string replaced by [`text`], anything else as one [`text`].
pub fn body(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) => {
            hide(&mut value);
            bounded(value.to_string())
        }
        Err(_) => text(bytes),
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::String(string) => *string = text(string.as_bytes()),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                let is_kind = KINDS.contains(&key.as_str())
                    && value.as_str().is_some_and(|kind| kind.len() <= KIND_LENGTH);
                if !is_kind {
                    hide(value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > LIMIT {
        let end = (0..=LIMIT)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_and_prompts_do_not_show() {
        let list: Headers = [
            ("authorization", "Bearer canary"),
            ("x-aigw-api-key", "canary"),
            ("my-session-token", "canary"),
            ("set-cookie", "canary"),
            ("x-team", "hive"),
        ]
        .into_iter()
        .collect();
        let shown = headers(&list);
        assert!(
            !shown.contains("canary") && shown.contains("x-team: hive"),
            "{shown}"
        );
        let mut changes = HeaderEdits::new();
        changes.set("x-api-key", "canary");
        changes.remove("cookie");
        assert_eq!(edits(&changes), r#"["x-api-key: [REDACTED]","-cookie"]"#);
    }

    #[test]
    fn bodies_keep_their_structure() {
        let shown = body(
            br#"{"model":"m","messages":[{"role":"user","content":"canary"}],"n":1,"type":{"a":"canary"},"e":""}"#,
        );
        assert!(!shown.contains("canary"));
        assert!(shown.starts_with(
            r#"{"model":"m","messages":[{"role":"user","content":"[REDACTED LENGTH=6 HASH="#
        ));
        assert!(
            shown.ends_with(r#""e":""}"#) && shown.contains(r#""n":1"#),
            "{shown}"
        );
        assert!(body(b"--boundary canary").starts_with("[REDACTED LENGTH=17"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_bounded_and_never_panic(bytes: Vec<u8>) {
            prop_assert!(body(&bytes).len() <= LIMIT + 3);
        }

        #[test]
        fn no_long_word_of_a_prompt_shows(word in "[a-z]{8,20}", key in "[a-z]{1,5}") {
            let text = serde_json::json!({ key: [word.clone(), {"content": word.clone()}] });
            prop_assert!(!body(text.to_string().as_bytes()).contains(&word));
        }
    }
}
