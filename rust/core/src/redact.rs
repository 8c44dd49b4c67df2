//! What debug logs may show: structure, names and numbers, never prompts or secrets.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::headers::{HeaderEdit, HeaderEdits, Headers};
use crate::record::UsageRecord;

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
/// Longest name of a kind of thing; long enough for the ARN of a model.
const KIND_LENGTH: usize = 128;
/// Headers that hold a target, whose query may carry a key (`?key=...`).
const TARGETS: &[&str] = &[
    ":path",
    "location",
    "referer",
    "x-envoy-original-path",
    "x-original-url",
];
/// Edits that never come from a secret: the gateway's own. Values that users configure may be
/// secrets under any name.
const OWN_EDITS: &[&str] = &[
    "accept",
    "accept-encoding",
    "anthropic-version",
    "content-encoding",
    "content-length",
    "content-type",
];
/// Parts of the names of headers that carry secrets.
const SECRET_WORDS: &[&str] = &[
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "session",
    "signature",
    "token",
    "amz-content-sha256",
    "amz-date",
];
const HIDDEN: &str = "[REDACTED]";

/// True for headers that carry credentials or sessions. `name` is lower case.
pub fn is_sensitive(name: &str) -> bool {
    let is_header = !name.starts_with(':');
    is_header
        && (name.starts_with("x-aigw-") || SECRET_WORDS.iter().any(|word| name.contains(word)))
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

/// A model or another name of a kind of thing, as a JSON string: itself when it is short and
/// looks like a name, otherwise a [`text`].
pub fn name(value: &str) -> String {
    Value::from(shown_name(value)).to_string()
}

fn shown_name(value: &str) -> String {
    if is_name(value) {
        value.to_owned()
    } else {
        text(value.as_bytes())
    }
}

/// Names have no blanks; prose has.
fn is_name(value: &str) -> bool {
    value.len() <= KIND_LENGTH && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The target of a request as a JSON string, its query as a [`text`].
pub fn target(value: &[u8]) -> String {
    Value::from(shown_target(value)).to_string()
}

fn shown_target(value: &[u8]) -> String {
    let Some(at) = memchr::memchr(b'?', value) else {
        return String::from_utf8_lossy(value).into_owned();
    };
    let (path, query) = value.split_at(at);
    let query = text(query.get(1..).unwrap_or_default());
    format!("{}?{query}", String::from_utf8_lossy(path))
}

/// A usage record as JSON; models that are no names are hidden.
pub fn record(mut record: UsageRecord) -> String {
    let hide = |model: &mut String| *model = shown_name(model);
    hide(&mut record.requested_model);
    hide(&mut record.routed_model);
    record.response_model.iter_mut().for_each(hide);
    for attempt in &mut record.attempts {
        hide(&mut attempt.routed_model);
        attempt.response_model.iter_mut().for_each(hide);
    }
    serde_json::to_string(&record).unwrap_or_default()
}

/// A header list as a JSON array of `"name: value"`.
pub fn headers(headers: &Headers) -> String {
    let lines = headers.iter().map(|(name, value)| {
        let name = String::from_utf8_lossy(name);
        format!("{name}: {}", shown(&name, value))
    });
    bounded(Value::from(lines.collect::<Vec<_>>()).to_string())
}

/// Header edits as a JSON array of `"name: value"` and `"-name"`; only values of the gateway's
/// own making show.
pub fn edits(edits: &HeaderEdits) -> String {
    let lines = edits.iter().map(|edit| match edit {
        HeaderEdit::Set(name, value) => format!("{name}: {}", shown_edit(name, value)),
        HeaderEdit::Append(name, value) => format!("+{name}: {}", shown_edit(name, value)),
        HeaderEdit::Remove(name) => format!("-{name}"),
    });
    bounded(Value::from(lines.collect::<Vec<_>>()).to_string())
}

fn shown(name: &str, value: &[u8]) -> String {
    if is_sensitive(name) {
        HIDDEN.to_owned()
    } else if TARGETS.contains(&name) {
        shown_target(value)
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

fn shown_edit(name: &str, value: &[u8]) -> String {
    if TARGETS.contains(&name) || OWN_EDITS.contains(&name) {
        shown(name, value)
    } else {
        HIDDEN.to_owned()
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
                let is_kind = KINDS.contains(&key.as_str()) && value.as_str().is_some_and(is_name);
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
            ("ocp-apim-subscription-key", "canary"),
            ("helicone-auth", "canary"),
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
    fn every_header_that_carries_a_credential_is_hidden() {
        for name in crate::auth::CREDENTIAL_HEADERS {
            assert!(is_sensitive(name), "{name}");
        }
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

    #[test]
    fn the_query_of_a_target_does_not_show() {
        let list: Headers = [(":path", "/v1/chat?key=canary"), ("referer", "/a?b=canary")]
            .into_iter()
            .collect();
        let shown = headers(&list);
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains(":path: /v1/chat?[REDACTED LENGTH=10 HASH="));
        assert_eq!(target(b"/v1/chat"), r#""/v1/chat""#);
    }

    #[test]
    fn configured_header_values_do_not_show() {
        let mut changes = HeaderEdits::new();
        changes.set("x-team-key", "canary");
        changes.append("x-more", "canary");
        changes.set("content-length", "12");
        assert_eq!(
            edits(&changes),
            r#"["x-team-key: [REDACTED]","+x-more: [REDACTED]","content-length: 12"]"#
        );
    }

    #[test]
    fn prose_under_the_key_of_a_kind_does_not_show() {
        let shown = body(br#"{"type":"text","role":"tell me a canary","model":"a-b:c/1.0"}"#);
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.starts_with(r#"{"type":"text","role":"[REDACTED LENGTH=16 "#));
        assert!(shown.ends_with(r#","model":"a-b:c/1.0"}"#));
    }

    #[test]
    fn models_of_a_record_show_only_as_names() {
        let found = UsageRecord {
            requested_model: "tell me a canary".into(),
            routed_model: "m".into(),
            response_model: Some("canary ".repeat(1 << 16)),
            ..UsageRecord::default()
        };
        let shown = record(found);
        assert!(!shown.contains("canary") && shown.len() < 1024);
        assert!(shown.contains(r#""routed_model":"m""#), "{shown}");
    }

    proptest! {
        #[test]
        fn names_and_targets_are_one_line_and_bounded(value: String) {
            prop_assert!(!name(&value).contains('\n') && !target(value.as_bytes()).contains('\n'));
            prop_assert!(name(&value).len() <= 2 * KIND_LENGTH + 2);
        }

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
