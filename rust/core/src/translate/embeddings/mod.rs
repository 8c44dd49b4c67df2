//! OpenAI embeddings.

pub(crate) mod aws_bedrock;
pub(crate) mod azure_openai;
pub(crate) mod cohere;
pub(crate) mod gcp_vertex_ai;
pub(crate) mod openai;

use crate::error::{Error, Result};
use crate::translate::Outbox;
use crate::usage::Usage;
use crate::wire::embeddings::{EmbeddingsReply, EmbeddingsRequest, Encoding};
use crate::wire::openai::Raw;

/// The client's input, one of two forms.
fn check_forms(req: &EmbeddingsRequest<'_>) -> Result<()> {
    if req.input.is_some() && req.messages.is_some() {
        return Err(Error::MalformedRequest(
            "failed to parse JSON for /v1/embeddings: embedding request must have either 'input' \
             or 'messages', not both"
                .into(),
        ));
    }
    Ok(())
}

/// Writes vectors, each with whether its text was cut, and records their tokens.
fn reply<'a>(
    vectors: impl Iterator<Item = (Raw<'a>, bool)>,
    encoding: Encoding,
    model: &'a str,
    tokens: u64,
    out: &mut Outbox<'_>,
) -> Result<()> {
    let reply = EmbeddingsReply::new(vectors, encoding, model, tokens)
        .map_err(|_| Error::UpstreamProtocol("an embedding is no list of numbers".into()))?;
    out.usage(&Usage {
        input_tokens: Some(tokens),
        total_tokens: Some(tokens),
        ..Usage::default()
    });
    out.response_model(model);
    out.json(&reply)
}

fn unreadable() -> Error {
    Error::UpstreamProtocol("the embeddings cannot be read".into())
}
