//! HTTP headers as the hosts see them: ordered, repeated names allowed, values are bytes.

use std::fmt;

/// Where one header lies in [`Headers::arena`].
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    name: u32,
    value: u32,
}

/// An ordered header list in one allocation. Names are lower case, pseudo headers included.
#[derive(Clone, Default)]
pub struct Headers {
    arena: Vec<u8>,
    spans: Vec<Span>,
}

impl Headers {
    /// An empty list with room for a usual request.
    pub fn new() -> Self {
        Self {
            arena: Vec::with_capacity(1024),
            spans: Vec::with_capacity(24),
        }
    }

    /// Appends a header. Lists beyond 4 GiB are cut silently: Envoy's own limit is far below.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let (Ok(start), Ok(n), Ok(v)) = (
            u32::try_from(self.arena.len()),
            u32::try_from(name.len()),
            u32::try_from(value.len()),
        ) else {
            return;
        };
        self.arena.extend_from_slice(name);
        if let Some(name) = self.arena.get_mut(start as usize..) {
            name.make_ascii_lowercase();
        }
        self.arena.extend_from_slice(value);
        self.spans.push(Span {
            start,
            name: n,
            value: v,
        });
    }

    /// The first value of `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(n, _)| *n == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The first value of `name` when it is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of `name` (lower case), in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(n, _)| *n == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Forgets every header whose name does not pass. Nothing is moved.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let arena = &self.arena;
        self.spans.retain(|span| {
            let start = span.start as usize;
            let name = arena.get(start..start + span.name as usize);
            keep(name.unwrap_or_default())
        });
    }

    /// Every header in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|span| {
            let start = span.start as usize;
            let middle = start + span.name as usize;
            let end = middle + span.value as usize;
            (
                self.arena.get(start..middle).unwrap_or_default(),
                self.arena.get(middle..end).unwrap_or_default(),
            )
        })
    }

    /// Number of headers.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when there is no header.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(iter: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in iter {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }
}

/// Names only: values may be credentials.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(n, _)| String::from_utf8_lossy(n)))
            .finish()
    }
}

/// One change of a header map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderEdit<'a> {
    /// Replace every value of the name by this one.
    Set(&'a str, &'a [u8]),
    /// Add one more value of the name.
    Append(&'a str, &'a [u8]),
    /// Remove every value of the name.
    Remove(&'a str),
}

#[derive(Clone)]
enum Op {
    Set(Vec<u8>),
    Append(Vec<u8>),
    Remove,
}

/// Header changes in order. At most one `Set` or `Remove` per name: the last one wins, so a
/// host may apply removals first (ext_proc) or everything in order (module).
#[derive(Clone, Default)]
pub struct HeaderEdits {
    ops: Vec<(Box<str>, Op)>,
}

impl HeaderEdits {
    /// No edit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all values of `name`.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.forget(name);
        self.ops.push((name.into(), Op::Set(value.into())));
    }

    /// Adds one more value of `name`.
    pub fn append(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.ops.push((name.into(), Op::Append(value.into())));
    }

    /// Removes all values of `name`.
    pub fn remove(&mut self, name: &str) {
        self.forget(name);
        self.ops.push((name.into(), Op::Remove));
    }

    /// Drops earlier edits of `name`.
    pub fn forget(&mut self, name: &str) {
        self.ops.retain(|(n, _)| n.as_ref() != name);
    }

    /// The value that `name` will have after these edits: `None` when it is not touched,
    /// `Some(None)` when it is removed.
    pub fn value(&self, name: &str) -> Option<Option<&[u8]>> {
        self.iter().rev().find_map(|edit| match edit {
            HeaderEdit::Set(n, v) | HeaderEdit::Append(n, v) if n == name => Some(Some(v)),
            HeaderEdit::Remove(n) if n == name => Some(None),
            _ => None,
        })
    }

    /// The edits in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = HeaderEdit<'_>> {
        self.ops.iter().map(|(name, op)| match op {
            Op::Set(value) => HeaderEdit::Set(name, value),
            Op::Append(value) => HeaderEdit::Append(name, value),
            Op::Remove => HeaderEdit::Remove(name),
        })
    }

    /// Names that are touched, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ops.iter().map(|(name, _)| name.as_ref())
    }

    /// True when nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Names only: values may be credentials.
impl fmt::Debug for HeaderEdits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_keep_every_value_in_order() {
        let headers: Headers = [("a", "1"), ("b", "2"), ("A", "3")].into_iter().collect();
        assert_eq!(headers.get("a"), Some(&b"1"[..]));
        assert_eq!(headers.get_all("a").collect::<Vec<_>>(), [b"1", b"3"]);
    }

    #[test]
    fn a_forgotten_name_is_gone_with_all_its_values() {
        let mut headers: Headers = [("a", "1"), ("b", "2"), ("a", "3")].into_iter().collect();
        headers.retain(|name| name != b"a");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [(&b"b"[..], &b"2"[..])]);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn the_last_edit_of_a_name_wins() {
        let mut edits = HeaderEdits::new();
        edits.set("a", "1");
        edits.remove("a");
        assert_eq!(edits.value("a"), Some(None));
        edits.set("a", "2");
        assert_eq!(edits.value("a"), Some(Some(&b"2"[..])));
        assert_eq!(edits.iter().count(), 1);
    }

    #[test]
    fn debug_output_shows_no_value() {
        let headers: Headers = [("authorization", "Bearer sk-secret")]
            .into_iter()
            .collect();
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
