//! OpenAI completions to the Anthropic API, by way of chat completions: see
//! [`completions_client`](crate::dialect::completions_client) for what is mapped, refused and dropped.

use crate::dialect::completions_client;
use crate::translate::Via;
use crate::translate::chat::anthropic;

pub(crate) type Completions = Via<completions_client::Completions, anthropic::Chat>;
