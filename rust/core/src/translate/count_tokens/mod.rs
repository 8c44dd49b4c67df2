//! Anthropic's token counts.

pub(crate) mod anthropic;
pub(crate) mod aws;
pub(crate) mod gcp_anthropic;

use crate::framing::TopLevel;
use crate::translate::Findings;
use crate::usage::Count;

/// Member of a reply.
const KEYS: &[&str] = &["input_tokens"];

/// Reads the count of a reply that goes through.
fn read(members: &TopLevel, findings: &mut Findings) {
    let raw = members.value("input_tokens").unwrap_or_default();
    findings.usage.input_tokens = serde_json::from_slice(raw)
        .ok()
        .and_then(|count: Count| count.0);
}
