//! Damage to golden data: bytes, lines, and members of JSON wherever it stands.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// Text that readers may stumble over.
const TOKENS: &[&[u8]] = &[
    b"null",
    b"\"",
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"-0",
    b"9223372036854775808",
    b"\xff",
    b"\xef\xbb\xbf",
    b",",
    b":",
    b"}",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"data:",
    b"data: [DONE]\n\n",
    b"event: error\n",
    b"--golden",
    b"\r\n--golden--",
    b"Content-Disposition: form-data; name=\"model\"\r\n\r\n",
    b"\"model\":\"x\",",
    b"\"stream_options\":{},",
];
/// Nesting beyond what any reader follows.
const DEPTH: usize = 200;

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(Index, u8),
    Cut(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Index),
    Nest(Index),
    DropLine(Index),
    RepeatLine(Index),
    SwapLines(Index, Index),
    Replace(Index, Index, Index),
    Remove(Index, Index),
    Copy(Index, Index, Index),
}

/// Any one change; those of JSON more often, since they reach deepest.
pub(crate) fn any_damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), 1u8..).prop_map(|(a, b)| Damage::Flip(a, b)),
        1 => (at(), 1usize..64).prop_map(|(a, n)| Damage::Cut(a, n)),
        1 => (at(), 1usize..64).prop_map(|(a, n)| Damage::Repeat(a, n)),
        1 => (at(), at()).prop_map(|(a, b)| Damage::Insert(a, b)),
        1 => at().prop_map(Damage::Nest),
        1 => at().prop_map(Damage::DropLine),
        1 => at().prop_map(Damage::RepeatLine),
        1 => (at(), at()).prop_map(|(a, b)| Damage::SwapLines(a, b)),
        8 => (at(), at(), at()).prop_map(|(l, a, b)| Damage::Replace(l, a, b)),
        3 => (at(), at()).prop_map(|(l, a)| Damage::Remove(l, a)),
        3 => (at(), at(), at()).prop_map(|(l, a, b)| Damage::Copy(l, a, b)),
    ]
}

impl Damage {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        match self {
            Self::Flip(at, bits) if end > 0 => bytes[at.index(end)] ^= bits,
            Self::Cut(at, length) if end > 0 => {
                let start = at.index(end);
                bytes.drain(start..end.min(start + length));
            }
            Self::Repeat(at, length) if end > 0 => {
                let start = at.index(end);
                let piece = bytes[start..end.min(start + length)].to_vec();
                bytes.splice(start..start, piece);
            }
            Self::Insert(at, token) => {
                let start = at.index(end + 1);
                let token = TOKENS[token.index(TOKENS.len())];
                bytes.splice(start..start, token.iter().copied());
            }
            Self::Nest(at) => {
                let start = at.index(end + 1);
                bytes.splice(start..start, b"[{\"a\":".repeat(DEPTH));
            }
            Self::DropLine(at) => edit_lines(bytes, |lines| {
                lines.remove(at.index(lines.len()));
            }),
            Self::RepeatLine(at) => edit_lines(bytes, |lines| {
                let at = at.index(lines.len());
                lines.insert(at, lines[at]);
            }),
            Self::SwapLines(a, b) => edit_lines(bytes, |lines| {
                let count = lines.len();
                lines.swap(a.index(count), b.index(count));
            }),
            Self::Replace(line, at, with) => edit_json(bytes, *line, |json| {
                let value = odd_value(*with);
                let mut left = at.index(count(json));
                with_node(json, &mut left, &mut |node| *node = value.clone());
            }),
            Self::Remove(line, at) => edit_json(bytes, *line, |json| {
                let mut left = at.index(count(json));
                remove_node(json, &mut left);
            }),
            Self::Copy(line, from, to) => edit_json(bytes, *line, |json| {
                let nodes = count(json);
                let mut copy = Value::Null;
                let (mut from, mut to) = (from.index(nodes), to.index(nodes));
                with_node(json, &mut from, &mut |node| copy = node.clone());
                with_node(json, &mut to, &mut |node| *node = copy.clone());
            }),
            Self::Flip(..) | Self::Cut(..) | Self::Repeat(..) => {}
        }
    }
}

/// A value that is not what a reader expects.
fn odd_value(index: Index) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("x"),
        json!("a\u{0}\r\n\n\u{2028}\"\\"),
        json!("data:;base64,"),
        json!("{\"a\":"),
        json!("[]"),
        json!("x".repeat(2000)),
        json!([]),
        json!([null]),
        json!(["a", {"type": "text", "text": "b"}]),
        json!({}),
        json!({"": null}),
        json!({"type": "x"}),
        json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"$ref": "#/$defs/a"}}}),
    ];
    values[index.index(values.len())].clone()
}

fn edit_lines(bytes: &mut Vec<u8>, edit: impl FnOnce(&mut Vec<&[u8]>)) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    edit(&mut lines);
    *bytes = lines.join(&b'\n');
}

/// Edits the JSON that all of the bytes are, or the one that a line ends with.
fn edit_json(bytes: &mut Vec<u8>, line: Index, edit: impl FnOnce(&mut Value)) {
    if let Ok(mut json) = serde_json::from_slice(bytes) {
        edit(&mut json);
        *bytes = json.to_string().into_bytes();
        return;
    }
    edit_lines_json(bytes, line, edit);
}

fn edit_lines_json(bytes: &mut Vec<u8>, line: Index, edit: impl FnOnce(&mut Value)) {
    let found: Vec<(usize, usize)> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .scan(0, |from, line| {
            let start = *from;
            *from += line.len();
            Some((start, line))
        })
        .filter_map(|(start, line)| {
            let brace = line.iter().position(|byte| *byte == b'{')?;
            Some((start + brace, start + line.trim_ascii_end().len()))
        })
        .collect();
    if found.is_empty() {
        return;
    }
    let (start, end) = found[line.index(found.len())];
    if let Some(Ok(mut json)) = bytes.get(start..end).map(serde_json::from_slice) {
        edit(&mut json);
        bytes.splice(start..end, json.to_string().into_bytes());
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Calls `edit` with the node that `left` nodes precede.
fn with_node(value: &mut Value, left: &mut usize, edit: &mut dyn FnMut(&mut Value)) -> bool {
    if *left == 0 {
        edit(value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| with_node(item, left, edit)),
        Value::Object(members) => members
            .values_mut()
            .any(|member| with_node(member, left, edit)),
        _ => false,
    }
}

/// Removes the child that `left` children precede.
fn remove_node(value: &mut Value, left: &mut usize) -> bool {
    match value {
        Value::Array(items) => {
            if *left < items.len() {
                items.remove(*left);
                return true;
            }
            *left -= items.len();
            items.iter_mut().any(|item| remove_node(item, left))
        }
        Value::Object(members) => {
            if let Some(key) = members.keys().nth(*left).cloned() {
                members.shift_remove(&key);
                return true;
            }
            *left -= members.len();
            members.values_mut().any(|member| remove_node(member, left))
        }
        _ => false,
    }
}
