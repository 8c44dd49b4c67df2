//! Request headers that become attributes of usage records, and the header that tells who asks.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::headers::Headers;

/// Longest value of an attribute, in bytes.
const LONGEST: usize = 1024;

/// (header, attribute) pairs; headers are lower case.
pub type Mapping = Vec<(String, String)>;

/// Which headers become attributes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Attributes of metrics.
    pub metrics: Mapping,
    /// Attributes of logs.
    pub logs: Mapping,
}

impl Attributes {
    /// Attributes of a request, by name: those of all mappings. An empty header is one.
    pub fn of(&self, head: &Headers) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (header, attribute) in self.metrics.iter().chain(&self.logs) {
            if let Some(value) = text(head, header) {
                found.insert(attribute.clone(), value);
            }
        }
        found
    }
}

/// Headers that a security policy sets once it knows the client, by policy. Envoy takes them off
/// requests that come in under the same policy, so no client can set them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Identities(HashMap<String, Vec<String>>);

impl Identities {
    /// The client of a request that came in under a policy: the first header that is there.
    pub fn of(&self, policy: &str, head: &Headers) -> Option<String> {
        let headers = self.0.get(policy)?;
        headers.iter().find_map(|header| text(head, header))
    }
}

/// The values of a header, cut to a bounded length.
fn text(head: &Headers, name: &str) -> Option<String> {
    let mut values = head.get_all(name);
    let mut text = String::from_utf8_lossy(values.next()?).into_owned();
    for value in values {
        text.push(',');
        text.push_str(&String::from_utf8_lossy(value));
    }
    text.truncate(text.floor_char_boundary(LONGEST));
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Headers {
        let head = [
            ("x-team", "hive"),
            ("x-twice", "a"),
            ("x-twice", "b"),
            ("x-none", ""),
        ];
        head.into_iter().collect()
    }

    #[test]
    fn headers_of_all_mappings_become_attributes_and_missing_ones_do_not() {
        let json = r#"{"metrics": [["x-team", "team"], ["x-none", "none"]],
            "logs": [["x-team", "log.team"], ["x-twice", "twice"], ["x-gone", "gone"]]}"#;
        let attributes: Attributes = serde_json::from_str(json).unwrap();
        let found: Vec<_> = attributes.of(&head()).into_iter().collect();
        let expected = [
            ("log.team", "hive"),
            ("none", ""),
            ("team", "hive"),
            ("twice", "a,b"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_header_is_an_identity_under_its_policy_only() {
        let json = r#"{"p": ["x-gone", "x-team"]}"#;
        let identities: Identities = serde_json::from_str(json).unwrap();
        assert_eq!(identities.of("p", &head()).as_deref(), Some("hive"));
        assert_eq!(identities.of("", &head()), None);
        assert_eq!(identities.of("q", &head()), None);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "é".repeat(LONGEST);
        let head: Headers = [("x-team", long.as_str())].into_iter().collect();
        let cut = text(&head, "x-team").unwrap();
        assert_eq!(cut.len(), LONGEST);
    }
}
