//! Token counts in vLLM's form.

mod local;

pub(crate) mod anthropic;
pub(crate) mod aws_anthropic;
pub(crate) mod aws_bedrock;
pub(crate) mod azure_openai;
pub(crate) mod cohere;
pub(crate) mod gcp_anthropic;
pub(crate) mod gcp_vertex_ai;
pub(crate) mod openai;
