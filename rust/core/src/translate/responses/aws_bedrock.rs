//! OpenAI responses to AWS Bedrock's Converse, by way of chat completions: see
//! [`responses_client`](crate::dialect::responses_client) for what is mapped, refused and dropped.

use crate::dialect::responses_client;
use crate::translate::Via;
use crate::translate::chat::aws_bedrock;

pub(crate) type Responses = Via<responses_client::Responses, aws_bedrock::Chat>;
