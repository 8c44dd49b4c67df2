//! OpenAI completions to an OpenAI-compatible provider that has chat only, by way of chat completions: see
//! [`completions_client`](crate::dialect::completions_client) for what is mapped, refused and dropped.

use crate::dialect::completions_client;
use crate::translate::Via;
use crate::translate::chat::{decoded::Decoded, openai};

pub(crate) type Completions = Via<completions_client::Completions, Decoded<openai::Chat>>;
