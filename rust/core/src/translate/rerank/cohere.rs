//! Cohere rerank to Cohere and servers like it: bytes go through.

use serde::Deserialize;

use crate::dialect::cohere;
use crate::endpoint::{Endpoint, join_path};
use crate::framing::TopLevel;
use crate::headers::Headers;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, Passthrough, ProviderError, openai_usage};
use crate::usage::{Count, Usage};

pub(crate) struct Rerank;

/// `meta` of a reply.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    tokens: Option<Tokens>,
    billed_units: Option<Tokens>,
    cached_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Count,
    output_tokens: Count,
}

impl Passthrough for Rerank {
    const ENDPOINT: Endpoint = Endpoint::Rerank;
    const SCHEMA: ApiSchema = ApiSchema::Cohere;
    const KEYS: &'static [&'static str] = &["meta", "usage"];

    fn path(binding: &Binding<'_>) -> String {
        let (prefix, version) = cohere::base(&binding.backend.schema);
        join_path(&[prefix, version, "rerank"])
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        let meta: Option<Meta> = members
            .value("meta")
            .and_then(|raw| serde_json::from_slice(raw).ok());
        let meta = meta.unwrap_or_default();
        let other = members.value("usage").map(openai_usage);
        let mut usage = match (meta.tokens, other) {
            (Some(tokens), _) => counted(&tokens, Some(0)),
            (None, Some(usage)) => usage,
            (None, None) => counted(&meta.billed_units.unwrap_or_default(), None),
        };
        usage.cached_input_tokens = meta.cached_tokens.0.or(usage.cached_input_tokens);
        findings.usage.merge(&usage);
    }

    fn provider_error(_status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError> {
        let named = headers.get("content-type").is_some();
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        (named || !is_json).then(|| ProviderError {
            kind: String::new(),
            message: Some(String::from_utf8_lossy(body).into_owned()),
        })
    }
}

/// `none` is the total where nothing was counted.
fn counted(tokens: &Tokens, none: Option<u64>) -> Usage {
    let (input, output) = (tokens.input_tokens.0, tokens.output_tokens.0);
    let total = match (input, output) {
        (None, None) => none,
        (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
    };
    Usage {
        input_tokens: input,
        output_tokens: output,
        total_tokens: total,
        ..Usage::default()
    }
}
