//! Token counts in vLLM's form.

pub(crate) mod aws_anthropic;
pub(crate) mod aws_bedrock;
pub(crate) mod gcp_anthropic;
pub(crate) mod gcp_vertex_ai;
pub(crate) mod openai;
