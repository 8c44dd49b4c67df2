//! OpenAI completions to AWS Bedrock's Converse, by way of chat completions: see
//! [`completions_client`](crate::dialect::completions_client) for what is mapped, refused and dropped.

use crate::dialect::completions_client;
use crate::translate::Via;
use crate::translate::chat::aws_bedrock;

pub(crate) type Completions = Via<completions_client::Completions, aws_bedrock::Chat>;
