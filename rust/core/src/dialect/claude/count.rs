//! Token counts of Claude: requests for `/tokenize`, and the counts themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::messages;
use super::tools::input_schema;
use crate::error::{Error, Result};
use crate::usage::Count;
use crate::wire::anthropic::{Block, CountRequest, CountSystem, CountTool};
use crate::wire::openai::{ChatRequest, Tool};

/// The count request of a chat: messages, system and tools without cache markers there.
///
/// # Errors
/// [`Error::Untranslatable`] with the field that Claude cannot express.
pub(crate) fn count_request<'a>(
    req: &'a ChatRequest<'a>,
    version: &'a str,
) -> Result<CountRequest<'a>> {
    let conversation = messages::conversation(req.messages.as_deref().unwrap_or_default())?;
    let tools = req.tools.as_deref().unwrap_or_default();
    let tools: Result<Vec<_>> = tools.iter().enumerate().filter_map(count_tool).collect();
    Ok(CountRequest {
        messages: conversation.messages,
        model: None,
        system: system(conversation.system),
        tools: tools?,
        anthropic_version: version,
        max_tokens: None,
    })
}

fn system(blocks: Vec<Block<'_>>) -> Option<CountSystem<'_>> {
    let mut texts: Vec<_> = blocks
        .into_iter()
        .filter_map(|block| match block {
            Block::Text { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    if texts.len() == 1 {
        return texts.pop().map(CountSystem::Text);
    }
    let blocks = texts.into_iter().map(|text| Block::Text {
        text,
        cache_control: None,
    });
    let blocks: Vec<_> = blocks.collect();
    (!blocks.is_empty()).then_some(CountSystem::Blocks(blocks))
}

fn count_tool<'a>((index, tool): (usize, &'a Tool<'a>)) -> Option<Result<CountTool<'a>>> {
    let function = tool.function.as_ref()?;
    let schema = input_schema(function.parameters).ok_or_else(|| {
        Error::Untranslatable(format!(
            "tools[{index}].function.parameters: an object is expected"
        ))
    });
    Some(schema.map(|input_schema| CountTool {
        name: &function.name,
        description: function.description.as_deref(),
        input_schema,
    }))
}

/// Bedrock's wrapping of a body to count.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written.
pub(crate) fn aws_count_body<T: Serialize>(inner: &T) -> Result<impl Serialize + use<T>> {
    #[derive(Serialize)]
    struct Outer {
        input: Input,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        invoke_model: InvokeModel,
    }
    #[derive(Serialize)]
    struct InvokeModel {
        /// Base64.
        body: String,
    }
    let inner = serde_json::to_vec(inner).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(Outer {
        input: Input {
            invoke_model: InvokeModel {
                body: STANDARD.encode(inner),
            },
        },
    })
}

/// The count of a reply, as Anthropic and Google write it or as AWS does.
///
/// # Errors
/// [`Error::UpstreamProtocol`] when there is none.
pub(crate) fn token_count(body: &[u8]) -> Result<u64> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Counted {
        input_tokens: Count,
        #[serde(rename = "inputTokens")]
        aws: Count,
    }
    let counted: Option<Counted> = serde_json::from_slice(body).unwrap_or_default();
    counted
        .and_then(|counted| counted.input_tokens.0.or(counted.aws.0))
        .ok_or_else(|| Error::UpstreamProtocol("the reply has no token count".into()))
}
