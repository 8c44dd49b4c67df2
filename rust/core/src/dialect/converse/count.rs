//! Bedrock's `CountTokens` with Converse input.

use serde::Serialize;

use super::{messages, tools};
use crate::dialect::aws_path::push_segment;
use crate::error::Result;
use crate::wire::bedrock::{Message, SystemBlock, ToolConfig};
use crate::wire::openai::ChatRequest;

/// Where a model may run: such a prefix names no other model to count for.
const GEOGRAPHIES: [&str; 8] = [
    "us-gov.", "us.", "eu.", "apac.", "uk.", "au.", "jp.", "global.",
];

/// The count request of a chat.
///
/// # Errors
/// As [`chat_request`](super::chat_request).
pub(crate) fn count_request<'a>(
    req: &'a ChatRequest<'a>,
    model: &str,
) -> Result<impl Serialize + use<'a>> {
    #[derive(Serialize)]
    struct Body<'a> {
        input: Input<'a>,
    }
    #[derive(Serialize)]
    struct Input<'a> {
        converse: Converse<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Converse<'a> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        messages: Vec<Message<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        system: Vec<SystemBlock<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_config: Option<ToolConfig<'a>>,
    }
    let conversation = messages::conversation(req.messages.as_deref().unwrap_or_default())?;
    let tool_config = tools::config(req, model, &conversation.messages)?;
    let converse = Converse {
        messages: conversation.messages,
        system: conversation.system,
        tool_config,
    };
    Ok(Body {
        input: Input { converse },
    })
}

/// `:path` to count for `model`.
pub(crate) fn count_path(model: &str) -> String {
    let mut prefixes = GEOGRAPHIES.iter();
    let base = prefixes.find_map(|prefix| model.strip_prefix(prefix));
    base_count_path(base.unwrap_or(model))
}

/// `:path` to count for a Claude `model`: what stands before the vendor is where it runs.
pub(crate) fn claude_count_path(model: &str) -> String {
    let start = model.find("anthropic.").unwrap_or(0);
    base_count_path(model.get(start..).unwrap_or(model))
}

fn base_count_path(model: &str) -> String {
    let mut path = String::from("/model/");
    push_segment(&mut path, model);
    path.push_str("/count-tokens");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_geography_is_taken_off() {
        for (model, want) in [
            ("apac.amazon.nova-pro", "amazon.nova-pro"),
            ("us-gov.us.x", "us.x"),
            ("usual.x", "usual.x"),
        ] {
            assert_eq!(count_path(model), format!("/model/{want}/count-tokens"));
        }
        assert_eq!(
            claude_count_path("arn:aws:bedrock:eu:1:x/eu.anthropic.claude"),
            "/model/anthropic.claude/count-tokens"
        );
        assert_eq!(claude_count_path("claude"), "/model/claude/count-tokens");
    }
}
