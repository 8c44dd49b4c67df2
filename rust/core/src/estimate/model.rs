//! Which vocabulary a model uses, by its name.

use crate::bpe::{CL100K, O200K, Vocabulary};

/// Whether a name tells the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A model that is known to use it.
    Known,
    /// The vocabulary is the best guess.
    Unknown,
}

/// Beginnings of names, the first match wins.
static FAMILIES: &[(&str, &Vocabulary)] = &[
    ("gpt-4o", &O200K),
    ("gpt-4.", &O200K),
    ("gpt-4", &CL100K),
    ("gpt-3.5", &CL100K),
    ("gpt-35", &CL100K),
    ("text-embedding-3", &CL100K),
    ("text-embedding-ada-002", &CL100K),
    ("davinci-002", &CL100K),
    ("babbage-002", &CL100K),
    ("chatgpt-4o", &O200K),
    ("gpt-5", &O200K),
    ("gpt-oss", &O200K),
    ("o1", &O200K),
    ("o3", &O200K),
    ("o4", &O200K),
];

/// The vocabulary of the first name that tells one, else the newest.
pub(crate) fn vocabulary<const N: usize>(models: [&str; N]) -> (&'static Vocabulary, Named) {
    let known = models.into_iter().find_map(family);
    known.map_or((&O200K, Named::Unknown), |known| (known, Named::Known))
}

fn family(model: &str) -> Option<&'static Vocabulary> {
    // Gateways before this one put a vendor in front, fine-tuned models a word.
    let name = model.rsplit('/').next().unwrap_or_default();
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let found = FAMILIES.iter().find(|(start, _)| {
        let rest = name.strip_prefix(start);
        // `o1-mini` is one of them, `o1000` is not.
        rest.is_some_and(|rest| start.ends_with('.') || !rest.starts_with(char::is_numeric))
    });
    found.map(|(_, vocabulary)| *vocabulary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_vocabulary() {
        for (model, want) in [
            ("gpt-4o-mini", &O200K),
            ("openai/gpt-4.1-nano", &O200K),
            ("gpt-4-0613", &CL100K),
            ("gpt-4", &CL100K),
            ("gpt-4-turbo", &CL100K),
            ("ft:gpt-3.5-turbo:acme", &CL100K),
            ("gpt-35-turbo", &CL100K),
            ("text-embedding-3-small", &CL100K),
            ("o3-mini", &O200K),
        ] {
            let (found, named) = vocabulary([model]);
            assert!(std::ptr::eq(found, want), "{model}");
            assert_eq!(named, Named::Known, "{model}");
        }
        for model in ["claude-opus-4-5", "my-deployment", "o1000", ""] {
            assert_eq!(vocabulary([model]).1, Named::Unknown, "{model}");
        }
        assert!(std::ptr::eq(
            vocabulary(["chat", "gpt-4"]).0,
            &raw const CL100K
        ));
    }
}
