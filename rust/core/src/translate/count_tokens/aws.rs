//! Anthropic token counts to Bedrock's `CountTokens`, for both of its schemas.
//!
//! Dropped by contract: beta flags that Bedrock does not know, named `anthropic_beta`; thinking
//! with an empty signature.

use std::marker::PhantomData;

use serde::Serialize;

use crate::dialect::claude::{self, AWS, UNSIGNED, aws_body, aws_count_body, token_count};
use crate::dialect::converse;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Outbox, ProviderError, Translate, Upstream};
use crate::usage::Usage;
use crate::wire::Members;

/// A schema whose requests go to Bedrock.
pub(crate) trait OnBedrock: Send + 'static {
    /// The schema.
    const SCHEMA: ApiSchema;
}

/// Schema `AWSBedrock`.
pub(crate) struct Bedrock;

impl OnBedrock for Bedrock {
    const SCHEMA: ApiSchema = ApiSchema::AWSBedrock;
}

/// Schema `AWSAnthropic`.
pub(crate) struct Anthropic;

impl OnBedrock for Anthropic {
    const SCHEMA: ApiSchema = ApiSchema::AWSAnthropic;
}

pub(crate) struct CountTokens<S> {
    path: String,
    version: String,
    head: Headers,
    schema: PhantomData<S>,
}

#[derive(Serialize)]
struct Counted {
    input_tokens: u64,
}

impl<S: OnBedrock> Translate for CountTokens<S> {
    const ENDPOINT: Endpoint = Endpoint::CountTokens;
    const SCHEMA: ApiSchema = S::SCHEMA;
    type Request<'a> = Members<'a>;

    fn bind(binding: &Binding<'_>) -> Self {
        Self {
            path: converse::claude_count_path(binding.model),
            version: AWS.version(&binding.backend.schema.version).to_owned(),
            head: binding.head.clone(),
            schema: PhantomData,
        }
    }

    fn request(&mut self, req: &Members<'_>) -> Result<Upstream> {
        let (body, lost) = aws_body(req.clone(), &self.version, &self.head);
        let lacks_thinking = body.lacks_thinking();
        let body = aws_count_body(&body.limited())?;
        let mut upstream = Upstream::json(self.path.clone(), &body)?;
        upstream.dropped.note("anthropic_beta", lost);
        upstream.dropped.note(UNSIGNED, lacks_thinking);
        Ok(upstream)
    }

    fn response(&mut self, body: &[u8], out: &mut Outbox<'_>) -> Result<()> {
        let input_tokens = token_count(body)?;
        out.usage(&Usage {
            input_tokens: Some(input_tokens),
            ..Usage::default()
        });
        out.json(&Counted { input_tokens })
    }

    fn provider_error(&self, _status: u16, headers: &Headers, body: &[u8]) -> ProviderError {
        claude::aws_error(headers, body)
    }

    fn passes_error(headers: &Headers, body: &[u8]) -> bool {
        claude::is_native_error(headers, body)
    }
}
