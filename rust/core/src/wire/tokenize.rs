//! vLLM's `POST /tokenize`, in its two forms.

use serde::{Deserialize, Serialize};

use super::Text;
use super::openai::{ChatRequest, Content, Message, Role, Tool};

/// A request: the prompt of the completion form is one user message.
#[derive(Debug, Deserialize)]
#[serde(from = "Wire<'a>", bound(deserialize = "'de: 'a"))]
pub(crate) struct TokenizeRequest<'a> {
    /// `messages` and `tools`.
    pub(crate) chat: ChatRequest<'a>,
    pub(crate) media_resolution: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Wire<'a> {
    #[serde(default, borrow)]
    prompt: Option<Text<'a>>,
    #[serde(default, borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(default, borrow)]
    tools: Option<Vec<Tool<'a>>>,
    #[serde(default, borrow)]
    media_resolution: Option<Text<'a>>,
}

impl<'a> From<Wire<'a>> for TokenizeRequest<'a> {
    fn from(wire: Wire<'a>) -> Self {
        let prompt = wire.prompt.unwrap_or_default();
        Self {
            chat: ChatRequest {
                messages: Some(wire.messages.unwrap_or_else(|| vec![user(prompt)])),
                tools: wire.tools,
                ..ChatRequest::default()
            },
            media_resolution: wire.media_resolution,
        }
    }
}

fn user(text: Text<'_>) -> Message<'_> {
    Message {
        role: Role::User,
        name: None,
        content: Some(Content::Text(text)),
        tool_calls: None,
        tool_call_id: None,
        thinking_blocks: None,
        reasoning_content: None,
        cache_control: None,
    }
}

/// A reply.
#[derive(Debug, Serialize)]
pub(crate) struct TokenizeReply {
    pub(crate) count: u64,
    /// Unknown: zero.
    pub(crate) max_model_len: u64,
    /// Unknown: null.
    pub(crate) tokens: Option<Vec<u32>>,
    /// What the tokens stand for, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_strs: Option<Vec<String>>,
}

impl TokenizeReply {
    /// That of a provider that counts only.
    pub(crate) fn counted(count: u64) -> Self {
        Self {
            count,
            max_model_len: 0,
            tokens: None,
            token_strs: None,
        }
    }
}
