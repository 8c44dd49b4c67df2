//! Incremental look at the top-level members of a JSON object that passes by in chunks.
//!
//! Unary passthrough replies are not buffered; the few members of interest are copied out
//! while the bytes go on. Nothing is validated: a provider's reply is its own affair.

use memchr::memchr2;

/// Longest value that is kept. `usage` objects are far smaller.
const MAX_VALUE: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening brace.
    Start,
    /// Between members, where a key may begin.
    Key,
    /// Inside a top-level key.
    InKey,
    /// Between key and value, at the colon.
    Colon,
    /// Inside a top-level value, at `depth` below the root; strings are tracked apart.
    Value,
    /// After the root object, or not an object at all.
    Done,
}

/// Copies the values of chosen top-level members out of a chunked JSON object.
pub struct TopLevel {
    keys: &'static [&'static str],
    values: Vec<Option<Vec<u8>>>,
    state: State,
    depth: u32,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    /// Index of the member whose value is being copied.
    wanted: Option<usize>,
}

impl TopLevel {
    /// Watches for `keys`.
    pub fn new(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            values: vec![None; keys.len()],
            state: State::Start,
            depth: 0,
            in_string: false,
            escaped: false,
            key: Vec::new(),
            wanted: None,
        }
    }

    /// The raw value of a member, once it is complete. The last one wins.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        let index = self.keys.iter().position(|k| *k == key)?;
        self.values.get(index)?.as_deref()
    }

    /// Feeds the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = match self.state {
                State::Done => return,
                State::Value => self.in_value(bytes),
                State::InKey => self.in_key(bytes),
                State::Start | State::Key | State::Colon => self.between(bytes),
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    fn between(&mut self, bytes: &[u8]) -> usize {
        let Some(byte) = bytes.first() else { return 0 };
        self.state = match (self.state, byte) {
            (state, b' ' | b'\n' | b'\r' | b'\t' | b',') => state,
            // A byte order mark says nothing.
            (State::Start, b'\xef' | b'\xbb' | b'\xbf') => State::Start,
            (State::Start, b'{') => State::Key,
            (State::Key, b'"') => {
                self.key.clear();
                State::InKey
            }
            (State::Colon, b':') => {
                self.depth = 0;
                self.in_string = false;
                self.wanted = self.keys.iter().position(|k| k.as_bytes() == self.key);
                if let Some(slot) = self.wanted.and_then(|i| self.values.get_mut(i)) {
                    *slot = Some(Vec::new());
                }
                State::Value
            }
            _ => State::Done,
        };
        1
    }

    fn in_key(&mut self, bytes: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            // An escaped key is none of ours; one byte makes it differ.
            self.key.push(b'\\');
            return 1;
        }
        let Some(at) = memchr2(b'"', b'\\', bytes) else {
            self.keep_key(bytes);
            return bytes.len();
        };
        self.keep_key(bytes.get(..at).unwrap_or_default());
        if bytes.get(at) == Some(&b'"') {
            self.state = State::Colon;
        } else {
            self.escaped = true;
        }
        at + 1
    }

    fn keep_key(&mut self, bytes: &[u8]) {
        let room = 64usize.saturating_sub(self.key.len());
        self.key
            .extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn in_value(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if self.in_string {
                used += self.in_value_string(rest);
                continue;
            }
            let stop = rest
                .iter()
                .position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']' | b','));
            let Some(at) = stop else {
                used = bytes.len();
                break;
            };
            used += at + 1;
            match rest.get(at) {
                Some(b'"') => self.in_string = true,
                Some(b'{' | b'[') => self.depth += 1,
                Some(b',') if self.depth > 0 => {}
                Some(b'}' | b']') if self.depth > 0 => self.depth -= 1,
                other => {
                    self.copy(bytes.get(..used - 1).unwrap_or_default());
                    self.state = if other == Some(&b',') {
                        State::Key
                    } else {
                        State::Done
                    };
                    self.wanted = None;
                    return used;
                }
            }
        }
        self.copy(bytes.get(..used).unwrap_or_default());
        used
    }

    fn in_value_string(&mut self, rest: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            return 1;
        }
        match memchr2(b'"', b'\\', rest) {
            Some(at) => {
                self.escaped = rest.get(at) == Some(&b'\\');
                self.in_string = self.escaped;
                at + 1
            }
            None => rest.len(),
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        let Some(slot) = self.wanted.and_then(|i| self.values.get_mut(i)) else {
            return;
        };
        if let Some(value) = slot {
            if value.len() + bytes.len() > MAX_VALUE {
                *slot = None;
                self.wanted = None;
            } else {
                value.extend_from_slice(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(chunks: &[&[u8]]) -> (Option<String>, Option<String>) {
        let mut scan = TopLevel::new(&["model", "usage"]);
        for chunk in chunks {
            scan.feed(chunk);
        }
        let text = |key| {
            scan.value(key)
                .map(|v| String::from_utf8_lossy(v).trim().to_owned())
        };
        (text("model"), text("usage"))
    }

    #[test]
    fn only_top_level_members_count() {
        let body = br#" {"choices":[{"message":{"content":"\"usage\": {\"x\"}","model":"no"}}],
            "model" : "m\"1" , "mod\u0065l":"no","usage":{"a":[1,{"b":"}"}]},"usage2":3}"#;
        let want = (
            Some(r#""m\"1""#.to_owned()),
            Some(r#"{"a":[1,{"b":"}"}]}"#.to_owned()),
        );
        assert_eq!(find(&[body]), want);
        for size in [1, 2, 7, 31] {
            assert_eq!(find(&body.chunks(size).collect::<Vec<_>>()), want);
        }
        assert_eq!(find(&["\u{feff}".as_bytes(), body]), want);
    }

    #[test]
    fn arrays_scalars_and_noise_give_nothing() {
        for body in [
            &b"[1,2]"[..],
            b"null",
            b"",
            b"<html>",
            b"{\"model\"",
            b"{]}",
        ] {
            assert_eq!(find(&[body]), (None, None));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_split_never_panic(bytes: Vec<u8>, size in 1usize..9) {
            find(&bytes.chunks(size).collect::<Vec<_>>());
        }
    }
}
