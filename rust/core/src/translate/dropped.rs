//! What a request asked for and the provider is not told: never silent, never refused.

use std::collections::BTreeSet;

use serde_ignored::Path;

/// Members that the gateway itself acts on, whatever the provider is told.
const READ_BY_GATEWAY: &[&str] = &["model", "stream", "stream_options"];
/// Most bytes of names in the header.
const HEADER_BYTES: usize = 1024;
/// Most names that are kept; further ones are counted.
const MOST_NAMES: usize = 256;
/// Most bytes of a name: clients may call a field anything.
const NAME_BYTES: usize = 128;

/// Names of dropped fields: `seed`, `messages[].name`, `tools[].function.strict`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    names: BTreeSet<String>,
    uncounted: usize,
}

impl Dropped {
    /// Notes `name` when the request has it.
    pub fn note(&mut self, name: &str, present: bool) {
        if present && !self.names.contains(name) {
            self.insert(name.to_owned());
        }
    }

    /// Notes that what stands at `place` is of a kind that is left out; `kind` is the client's
    /// word, of which a name takes few characters.
    pub(crate) fn note_kind(&mut self, place: &str, kind: &str) {
        let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let kind: String = kind.chars().filter(allowed).take(48).collect();
        self.insert(if kind.is_empty() {
            place.to_owned()
        } else {
            format!("{place}.{kind}")
        });
    }

    /// Notes a member that the typed request does not know.
    pub(crate) fn unknown(&mut self, path: &Path<'_>) {
        let name = written(path);
        if !READ_BY_GATEWAY.contains(&name.as_str()) {
            self.insert(name);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.uncounted += other.uncounted;
        for name in other.names {
            self.insert(name);
        }
    }

    fn insert(&mut self, mut name: String) {
        // Names are ASCII by now.
        name.truncate(NAME_BYTES);
        if self.names.len() < MOST_NAMES {
            self.names.insert(name);
        } else if !self.names.contains(&name) {
            self.uncounted += 1;
        }
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    /// Header value: names separated by commas, at most 1 KiB, then `+N`. `None` without names.
    pub fn header(&self) -> Option<String> {
        let mut value = String::new();
        let mut left = self.names.len() + self.uncounted;
        for name in &self.names {
            if value.len() + name.len() + 1 > HEADER_BYTES {
                break;
            }
            if !value.is_empty() {
                value.push(',');
            }
            value.push_str(name);
            left -= 1;
        }
        match (value.is_empty(), left) {
            (true, 0) => None,
            (false, 0) => Some(value),
            (true, more) => Some(format!("+{more}")),
            (false, more) => Some(format!("{value},+{more}")),
        }
    }
}

/// A path without array positions; bytes that a header cannot carry become `?`.
fn written(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, .. } => written(parent) + "[]",
        Path::Map { parent, key } => {
            let mut name = written(parent);
            if !name.is_empty() {
                name.push('.');
            }
            let safe = |c: char| c.is_ascii_graphic() && c != ',';
            name.extend(key.chars().map(|c| if safe(c) { c } else { '?' }));
            name
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => written(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut() {
        let mut dropped = Dropped::default();
        dropped.note(&"n".repeat(1000), true);
        assert_eq!(dropped.header().map(|names| names.len()), Some(NAME_BYTES));
    }

    #[test]
    fn long_lists_end_with_their_number() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.header(), None);
        dropped.note("seed", false);
        dropped.note("n", true);
        dropped.note("a", true);
        assert_eq!(dropped.header().as_deref(), Some("a,n"));
        dropped.note_kind("a", "x,y z");
        dropped.note_kind("a", "?");
        assert_eq!(dropped.header().as_deref(), Some("a,a.xyz,n"));
        for i in 0..600 {
            dropped.note(&format!("field_{i:03}"), true);
        }
        let header = dropped.header().unwrap();
        assert!(header.len() <= HEADER_BYTES + 8);
        let shown = header.split(',').count() - 1;
        assert!(header.ends_with(&format!(",+{}", 603 - shown)));
    }
}
