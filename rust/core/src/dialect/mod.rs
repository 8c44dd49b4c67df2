//! Maps shared by the translators of one provider dialect.

pub(crate) mod aws_path;
pub(crate) mod azure_path;
pub(crate) mod claude;
pub(crate) mod claude_client;
pub(crate) mod cohere;
pub(crate) mod completions_client;
pub(crate) mod converse;
pub(crate) mod data_uri;
pub(crate) mod gcp_path;
pub(crate) mod gemini;
pub(crate) mod responses_client;
pub(crate) mod unread;
