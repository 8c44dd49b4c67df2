//! OpenAI responses to Claude on Vertex AI, by way of chat completions: see
//! [`responses_client`](crate::dialect::responses_client) for what is mapped, refused and dropped.

use crate::dialect::responses_client;
use crate::translate::Via;
use crate::translate::chat::gcp_anthropic;

pub(crate) type Responses = Via<responses_client::Responses, gcp_anthropic::Chat>;
