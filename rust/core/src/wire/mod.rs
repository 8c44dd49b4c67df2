//! Wire types, one file per provider API. They import nothing of the gateway.

pub(crate) mod anthropic;
pub(crate) mod anthropic_client;
pub(crate) mod bedrock;
pub(crate) mod cohere;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod gemini;
pub(crate) mod openai;
pub(crate) mod openai_reply;
pub(crate) mod responses;
pub(crate) mod tokenize;

mod members;
mod text;

pub(crate) use members::Members;
pub(crate) use text::{Loose, Text};
