//! OpenAI's legacy completions on the client's side.

use serde::{Deserialize, Serialize};

use super::Text;
use super::openai::{ChatUsage, Raw, Stop};

/// `POST /v1/completions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct CompletionsRequest<'a> {
    #[serde(borrow)]
    pub(crate) prompt: Option<Raw<'a>>,
    pub(crate) max_tokens: Option<i64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) n: Option<i64>,
    pub(crate) best_of: Option<i64>,
    pub(crate) echo: Option<bool>,
    pub(crate) seed: Option<i64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) frequency_penalty: Option<f64>,
    #[serde(borrow)]
    pub(crate) stop: Option<Stop<'a>>,
    #[serde(borrow)]
    pub(crate) suffix: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user: Option<Text<'a>>,
}

/// `text_completion`, whole or one chunk.
#[derive(Debug, Serialize)]
pub(crate) struct Completion<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) choices: Vec<CompletionChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<ChatUsage>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CompletionChoice<'a> {
    pub(crate) text: &'a str,
    pub(crate) index: u32,
    /// Always null: chat's form of them is another.
    pub(crate) logprobs: Option<()>,
    pub(crate) finish_reason: Option<&'static str>,
}
