//! Edits of JSON text by path: only the edited bytes change.
//!
//! The text must be valid JSON; the callers have checked that. On text that is not, edits
//! are left out.

use std::borrow::Cow;
use std::ops::Range;

/// Most elements that a set adds before its own to reach its index.
const MAX_PADDING: usize = 1000;

/// Sets the value at `path` to the JSON text `value`. Missing parents are made; `-1` appends to
/// an array, and an index past the end fills the gap with nulls. `None` for a name inside an
/// array and for an index far out of it.
pub(crate) fn set(text: &[u8], path: &[String], value: &[u8]) -> Option<Vec<u8>> {
    let text = &*once(text, path);
    let (found, rest) = find(text, path)?;
    Some(match found {
        Found::Value(span) if rest.is_empty() => splice(text, span, value),
        Found::Value(span) => splice(text, span, &nested(rest, value)?),
        Found::Missing(container) => {
            let (name, deeper) = rest.split_first()?;
            let mut member = Vec::new();
            if container.count > 0 {
                member.push(b',');
            }
            if container.array {
                member.extend(padding(name, container.count)?);
            } else {
                member.extend(serde_json::to_vec(name).ok()?);
                member.push(b':');
            }
            member.extend(nested(deeper, value)?);
            splice(text, container.end..container.end, &member)
        }
    })
}

/// The nulls between `count` elements and the place called `name`.
fn padding(name: &str, count: usize) -> Option<Vec<u8>> {
    let gap = match name {
        "-1" => 0,
        name => index(name)?.checked_sub(count)?,
    };
    (gap <= MAX_PADDING).then(|| b"null,".repeat(gap))
}

/// A position in an array.
fn index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok())?
}

/// Removes the member or element at `path`, with its comma; `-1` is the last element. `None`
/// when there is none.
pub(crate) fn remove(text: &[u8], path: &[String]) -> Option<Vec<u8>> {
    let text = &*once(text, path);
    let (parent, name) = path.split_last().map(|(last, parent)| (parent, last))?;
    let start = match find(text, parent)? {
        (Found::Value(span), []) => span.start,
        _ => return None,
    };
    let mut members = Members::open(text, start)?;
    let last = members.array && name == "-1";
    let mut before: Option<usize> = None;
    let mut found = None;
    while let Some(member) = members.next() {
        let end = member.value.end;
        if last || member.is(text, name) {
            found = Some(match before {
                Some(end) => end..member.value.end,
                None => member.start..members.after_comma(),
            });
            if !last {
                break;
            }
        }
        before = Some(end);
    }
    Some(splice(text, found?, b""))
}

/// The text with every name along `path` standing once in its object, the last value kept:
/// readers take the last one, so an edit of the first would change nothing.
fn once<'a>(text: &'a [u8], path: &[String]) -> Cow<'a, [u8]> {
    let mut text = Cow::Borrowed(text);
    for (depth, name) in path.iter().enumerate() {
        let parent = path.get(..depth).unwrap_or_default();
        let Some((Found::Value(span), [])) = find(&text, parent) else {
            break;
        };
        if let Some(clean) = without_repeats(&text, span.start, name) {
            text = Cow::Owned(clean);
        }
    }
    text
}

/// The text without all but the last member called `name` of the object at `start`.
fn without_repeats(text: &[u8], start: usize, name: &str) -> Option<Vec<u8>> {
    let mut members = Members::open(text, start)?;
    let mut last: Option<Range<usize>> = None;
    let mut clean = Vec::new();
    let mut kept_to = 0;
    while let Some(member) = members.next() {
        if member.key.is_some()
            && member.is(text, name)
            && let Some(repeated) = last.replace(member.start..members.after_comma())
        {
            clean.extend_from_slice(text.get(kept_to..repeated.start).unwrap_or_default());
            kept_to = repeated.end;
        }
    }
    (kept_to > 0).then(|| {
        clean.extend_from_slice(text.get(kept_to..).unwrap_or_default());
        clean
    })
}

enum Found {
    Value(Range<usize>),
    Missing(Container),
}

struct Container {
    /// Where another member can be put.
    end: usize,
    /// Members so far.
    count: usize,
    array: bool,
}

/// Walks down `path`. Returns the deepest place that exists and the part of the path that is
/// left below it (below a scalar) or missing in it (the first name of it is the missing one).
fn find<'p>(text: &[u8], path: &'p [String]) -> Option<(Found, &'p [String])> {
    let start = skip_space(text, 0);
    let mut span = start..skip_value(text, start)?;
    let mut rest = path;
    while let Some((name, deeper)) = rest.split_first() {
        let Some(mut members) = Members::open(text, span.start) else {
            return Some((Found::Value(span), rest));
        };
        let mut next = None;
        while let Some(member) = members.next() {
            if member.is(text, name) {
                next = Some(member.value);
                break;
            }
        }
        match next {
            Some(value) => {
                span = value;
                rest = deeper;
            }
            None => return Some((Found::Missing(members.container()), rest)),
        }
    }
    Some((Found::Value(span), rest))
}

/// The JSON text that holds `value` at `path`.
fn nested(path: &[String], value: &[u8]) -> Option<Vec<u8>> {
    let Some((name, rest)) = path.split_first() else {
        return Some(value.to_vec());
    };
    let inner = nested(rest, value)?;
    if name == "-1" || index(name).is_some() {
        let padding = padding(name, 0)?;
        return Some([b"[", padding.as_slice(), inner.as_slice(), b"]"].concat());
    }
    let key = serde_json::to_vec(name).ok()?;
    Some([b"{", key.as_slice(), b":", inner.as_slice(), b"}"].concat())
}

fn splice(text: &[u8], span: Range<usize>, new: &[u8]) -> Vec<u8> {
    let head = text.get(..span.start).unwrap_or_default();
    let tail = text.get(span.end..).unwrap_or_default();
    [head, new, tail].concat()
}

struct Member {
    start: usize,
    /// Key with its quotes in an object, `None` in an array.
    key: Option<Range<usize>>,
    index: usize,
    value: Range<usize>,
}

impl Member {
    fn is(&self, text: &[u8], name: &str) -> bool {
        match &self.key {
            None => index(name) == Some(self.index),
            Some(key) => {
                let raw = text.get(key.clone()).unwrap_or_default();
                serde_json::from_slice::<String>(raw).is_ok_and(|key| key == name)
            }
        }
    }
}

/// The members of an object or array, in order.
struct Members<'a> {
    text: &'a [u8],
    at: usize,
    index: usize,
    array: bool,
}

impl<'a> Members<'a> {
    fn open(text: &'a [u8], start: usize) -> Option<Self> {
        let array = match text.get(start)? {
            b'{' => false,
            b'[' => true,
            _ => return None,
        };
        Some(Self {
            text,
            at: skip_space(text, start + 1),
            index: 0,
            array,
        })
    }

    fn next(&mut self) -> Option<Member> {
        if self.index > 0 {
            self.at = self.after_comma();
        }
        if matches!(self.text.get(self.at)?, b'}' | b']' | b',') {
            return None;
        }
        let start = self.at;
        let key = (!self.array).then(|| start..skip_string(self.text, start).unwrap_or(start));
        let value = match &key {
            None => start,
            Some(key) => {
                let colon = skip_space(self.text, key.end);
                if self.text.get(colon)? != &b':' {
                    return None;
                }
                skip_space(self.text, colon + 1)
            }
        };
        self.at = skip_value(self.text, value)?;
        let index = self.index;
        self.index += 1;
        Some(Member {
            start,
            key,
            index,
            value: value..self.at,
        })
    }

    /// Behind the value just read, its comma and the space around it.
    fn after_comma(&self) -> usize {
        let comma = skip_space(self.text, self.at);
        match self.text.get(comma) {
            Some(b',') => skip_space(self.text, comma + 1),
            _ => comma,
        }
    }

    /// The container, once all members are read.
    fn container(&self) -> Container {
        Container {
            end: self.at,
            count: self.index,
            array: self.array,
        }
    }
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let space = rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
        .count();
    at + space
}

fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at)? == &b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => skip_container(text, at),
        _ => {
            let rest = text.get(at..)?;
            let end = rest
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
            Some(end.map_or(text.len(), |end| at + end))
        }
    }
}

fn skip_container(text: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    fn after_set(text: &str, at: &str, value: &str) -> String {
        String::from_utf8(set(text.as_bytes(), &path(at), value.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn other_bytes_keep_their_form() {
        let text = "{ \"model\":\"m\" , \"x\":1.0,\n \"messages\":[] }";
        assert_eq!(
            after_set(text, "x", "2"),
            "{ \"model\":\"m\" , \"x\":2,\n \"messages\":[] }"
        );
        assert_eq!(
            after_set(text, "u", "1"),
            "{ \"model\":\"m\" , \"x\":1.0,\n \"messages\":[] ,\"u\":1}"
        );
        assert_eq!(after_set("{}", "a.b.-1", "1"), r#"{"a":{"b":[1]}}"#);
        assert_eq!(
            after_set(r#"{"a":[{"b":1},2]}"#, "a.0.b", "3"),
            r#"{"a":[{"b":3},2]}"#
        );
        assert_eq!(after_set(r#"{"a":[1]}"#, "a.-1", "2"), r#"{"a":[1,2]}"#);
        assert_eq!(after_set(r#"{"a":5}"#, "a.b", "2"), r#"{"a":{"b":2}}"#);
    }

    #[test]
    fn indexes_past_the_end_are_reached_with_nulls() {
        for (text, at, want) in [
            (r#"{"a":[1]}"#, "a.3", r#"{"a":[1,null,null,9]}"#),
            (r#"{"a":[ ]}"#, "a.1", r#"{"a":[ null,9]}"#),
            ("{}", "a.1.b", r#"{"a":[null,{"b":9}]}"#),
            (r#"{"a":{}}"#, "a.1", r#"{"a":{"1":9}}"#),
            (r#"{"a":{}}"#, "a.-1", r#"{"a":{"-1":9}}"#),
            ("{}", "a.+1", r#"{"a":{"+1":9}}"#),
        ] {
            assert_eq!(after_set(text, at, "9"), want, "{text} {at}");
        }
        for at in ["a.5000", "a.99999999999999999999", "a.+1", "a.b"] {
            assert_eq!(set(br#"{"a":[1]}"#, &path(at), b"9"), None, "{at}");
        }
        assert_eq!(set(b"{}", &path("a.5000"), b"9"), None);
    }

    #[test]
    fn a_removed_member_takes_its_comma_along() {
        for (text, at, want) in [
            (r#"{"a":1, "b":2}"#, "a", Some(r#"{"b":2}"#)),
            (r#"{"a":1, "b":2}"#, "b", Some(r#"{"a":1}"#)),
            (
                r#"{"a":{"c":[1,2,3]}}"#,
                "a.c.1",
                Some(r#"{"a":{"c":[1,3]}}"#),
            ),
            (r#"{"a":1}"#, "a", Some("{}")),
            (r#"{"a":[1, 2]}"#, "a.-1", Some(r#"{"a":[1]}"#)),
            (r#"{"a":[ 1 ]}"#, "a.-1", Some(r#"{"a":[ ]}"#)),
            (r#"{"a":[]}"#, "a.-1", None),
            (r#"{"a":{"-1":1}}"#, "a.-1", Some(r#"{"a":{}}"#)),
            (r#"{"a":1}"#, "b", None),
            (r#"{"a":1}"#, "a.b", None),
        ] {
            let got =
                remove(text.as_bytes(), &path(at)).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(got.as_deref(), want, "{text} {at}");
        }
    }

    #[test]
    fn a_repeated_member_cannot_escape_an_edit() {
        let text = r#"{"a":1,"\u0061":2,"x":0, "a":3}"#;
        assert_eq!(after_set(text, "a", "9"), r#"{"x":0, "a":9}"#);
        let removed = remove(text.as_bytes(), &path("a")).unwrap();
        assert_eq!(removed, br#"{"x":0}"#);
        let nested = r#"{"a":{"b":1},"a":{"b":2,"b":3}}"#;
        assert_eq!(after_set(nested, "a.b", "9"), r#"{"a":{"b":9}}"#);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            "[a-c\"\\\\é]{0,4}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::vec(("[a-c]{1,2}", inner), 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn edited_json_is_json_with_the_edit(
            members in proptest::collection::vec(("[a-c]{1,2}", json()), 0..4),
            at in "[a-c]{1,2}(\\.([a-c]|0|-1)){0,2}",
        ) {
            let root = serde_json::Value::Object(members.into_iter().collect());
            let text = serde_json::to_vec_pretty(&root).unwrap();
            let Some(edited) = set(&text, &path(&at), b"\"new\"") else { return Ok(()) };
            let parsed: serde_json::Value = serde_json::from_slice(&edited).unwrap();
            prop_assert!(parsed.to_string().contains("\"new\""));
            if let Some(removed) = remove(&edited, &path(&at)) {
                let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&removed);
                prop_assert!(parsed.is_ok());
            }
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>, at in "[a-c]{1,2}(\\.([a-c]|0|-1)){0,2}") {
            let _ = set(&text, &path(&at), b"1");
            let _ = remove(&text, &path(&at));
        }
    }
}
