//! OpenAI responses to an OpenAI-compatible provider that has chat only, by way of chat completions: see
//! [`responses_client`](crate::dialect::responses_client) for what is mapped, refused and dropped.

use crate::dialect::responses_client;
use crate::translate::Via;
use crate::translate::chat::{decoded::Decoded, openai};

pub(crate) type Responses = Via<responses_client::Responses, Decoded<openai::Chat>>;
