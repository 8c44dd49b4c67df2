//! Reasoning that goes to the client and comes back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// What a provider needs back of its thinking, as `encrypted_content` of a reasoning item.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Thought {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) redacted: Option<String>,
}

/// Tells our contents from others'.
const MARK: &str = "aigw1.";

impl Thought {
    /// `None` when there is nothing to keep.
    pub(super) fn sealed(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let json = serde_json::to_vec(self).ok()?;
        Some(format!("{MARK}{}", STANDARD.encode(json)))
    }

    /// `None` for contents of others.
    pub(super) fn opened(sealed: &str) -> Option<Self> {
        let json = STANDARD.decode(sealed.strip_prefix(MARK)?).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_survive_the_way_there_and_back() {
        let thought = Thought {
            signature: Some("s+/=".into()),
            redacted: None,
        };
        let sealed = thought.sealed().unwrap();
        assert_eq!(Thought::opened(&sealed), Some(thought));
        assert_eq!(Thought::default().sealed(), None);
        assert_eq!(Thought::opened("gAAAAABo"), None);
    }
}
