//! Messages bodies for the hosts that take them nearly as Anthropic does.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::unsigned::signed_messages;
use crate::headers::Headers;
use crate::wire::Members;
use crate::wire::anthropic::Raw;

/// The header by which clients ask for beta features.
const BETA_HEADER: &str = "anthropic-beta";

/// Flags that Bedrock knows; any other makes it refuse the whole request.
const AWS_BETAS: &[&str] = &[
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dev-full-thinking-2025-05-14",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "mcp-client-2025-04-04",
    "mcp-client-2025-11-20",
    "model-context-window-exceeded-2025-08-26",
    "output-128k-2025-02-19",
    "pdfs-2024-09-25",
    "search-results-2025-06-09",
    "token-counting-2024-11-01",
    "token-efficient-tools-2025-02-19",
    "tool-search-tool-2025-10-19",
    "web-search-2025-03-05",
];

/// A Messages body whose other members go through.
#[derive(Debug, Serialize)]
pub(crate) struct HostedBody<'a> {
    #[serde(flatten)]
    members: Members<'a>,
    /// In place of the client's, which have unsigned thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Box<RawValue>>,
    anthropic_version: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    anthropic_beta: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

/// A body for Vertex AI: the path names the model.
pub(crate) fn gcp_body<'a>(mut members: Members<'a>, version: &'a str) -> HostedBody<'a> {
    members.remove(&["model", "anthropic_version"]);
    let messages = signed(&mut members);
    HostedBody {
        members,
        messages,
        anthropic_version: version,
        anthropic_beta: Vec::new(),
        max_tokens: None,
    }
}

/// A body for Bedrock: the path names the model and says whether it streams, and beta flags
/// are members. Also returns whether flags were left out.
pub(crate) fn aws_body<'a>(
    mut members: Members<'a>,
    version: &'a str,
    head: &Headers,
) -> (HostedBody<'a>, bool) {
    let (betas, complete) = aws_betas(members.get("anthropic_beta"), head);
    members.remove(&["model", "stream", "anthropic_version", "anthropic_beta"]);
    let messages = signed(&mut members);
    let body = HostedBody {
        members,
        messages,
        anthropic_version: version,
        anthropic_beta: betas,
        max_tokens: None,
    };
    (body, !complete)
}

/// Takes out messages that have unsigned thinking, and returns them without it.
fn signed(members: &mut Members<'_>) -> Option<Box<RawValue>> {
    let messages = signed_messages(members)?;
    members.remove(&["messages"]);
    Some(messages)
}

impl HostedBody<'_> {
    /// Whether thinking of the client is left out.
    pub(crate) fn lacks_thinking(&self) -> bool {
        self.messages.is_some()
    }

    /// A body to count: Bedrock wants a limit in it.
    pub(crate) fn limited(mut self) -> Self {
        let limit = self.members.get("max_tokens");
        if limit.is_none_or(|limit| limit.get() == "null") {
            self.members.remove(&["max_tokens"]);
            self.max_tokens = Some(1);
        }
        self
    }
}

/// The flags of headers and member that Bedrock knows, each once, and whether these are all.
pub(crate) fn aws_betas(member: Option<Raw<'_>>, head: &Headers) -> (Vec<String>, bool) {
    let (own, mut complete) = member.map_or((Vec::new(), true), own_betas);
    let values = head.get_all(BETA_HEADER).map(String::from_utf8_lossy);
    let lists: Vec<String> = values.map(std::borrow::Cow::into_owned).collect();
    let asked = lists
        .iter()
        .flat_map(|list| list.split(','))
        .chain(own.iter().map(String::as_str))
        .map(str::trim)
        .filter(|flag| !flag.is_empty());
    let mut betas: Vec<String> = Vec::new();
    for flag in asked {
        let flag = match flag {
            "advanced-tool-use-2025-11-20" => "tool-search-tool-2025-10-19",
            other => other,
        };
        if !AWS_BETAS.contains(&flag) {
            complete = false;
        } else if !betas.iter().any(|known| known == flag) {
            betas.push(flag.to_owned());
        }
    }
    (betas, complete)
}

/// The flags of the member, and whether it has nothing else.
fn own_betas(member: Raw<'_>) -> (Vec<String>, bool) {
    let member: Value = serde_json::from_str(member.get()).unwrap_or_default();
    let Some(list) = member.as_array() else {
        return (Vec::new(), member.is_null());
    };
    let flags = list.iter().filter_map(Value::as_str).map(str::to_owned);
    (flags.collect(), list.iter().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_all_places_are_translated_filtered_and_joined() {
        let head: Headers = [
            (
                "anthropic-beta",
                "advanced-tool-use-2025-11-20, files-api-2025-04-14",
            ),
            ("anthropic-beta", "context-1m-2025-08-07"),
        ]
        .into_iter()
        .collect();
        let text = r#"{"model":"m","stream":true,"anthropic_beta":["context-1m-2025-08-07",
            "pdfs-2024-09-25"],"max_tokens":1,"x":{"kept":1.0}}"#;
        let (body, lost) = aws_body(serde_json::from_str(text).unwrap(), "v", &head);
        let body = serde_json::to_string(&body).unwrap();
        assert_eq!(
            body,
            r#"{"max_tokens":1,"x":{"kept":1.0},"anthropic_version":"v","anthropic_beta":["#
                .to_owned()
                + r#""tool-search-tool-2025-10-19","context-1m-2025-08-07","pdfs-2024-09-25"]}"#
        );
        assert!(lost);
    }

    #[test]
    fn flags_in_another_form_are_reported() {
        for (member, flags, complete) in [
            ("null", 0, true),
            ("[]", 0, true),
            (r#""pdfs-2024-09-25""#, 0, false),
            (r#"["pdfs-2024-09-25",7]"#, 1, false),
        ] {
            let (betas, all) = aws_betas(serde_json::from_str(member).ok(), &Headers::new());
            assert_eq!((betas.len(), all), (flags, complete), "{member}");
        }
    }
}
