//! Anthropic Messages to Cohere, by way of chat completions: see
//! [`claude_client`](crate::dialect::claude_client) for what is mapped, refused and dropped.

use crate::dialect::claude_client;
use crate::translate::Via;
use crate::translate::chat::cohere;

pub(crate) type Messages = Via<claude_client::Messages, cohere::Chat>;
