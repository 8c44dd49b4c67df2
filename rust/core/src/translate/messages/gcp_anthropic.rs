//! Anthropic messages to Claude on Vertex AI: `anthropic_version` is added, the path names the
//! model, all else goes through, replies untouched.
//!
//! Dropped by contract: thinking with an empty signature.

use crate::dialect::claude::{self, GCP, UNSIGNED, gcp_body};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::{Event, TopLevel};
use crate::headers::Headers;
use crate::scan::Scan;
use crate::schema::ApiSchema;
use crate::translate::{
    ANTHROPIC_KEYS, Binding, Findings, Passthrough, ProviderError, Upstream, anthropic_event,
    anthropic_unary, members,
};

pub(crate) struct Messages;

impl Passthrough for Messages {
    const ENDPOINT: Endpoint = Endpoint::Messages;
    const SCHEMA: ApiSchema = ApiSchema::GCPAnthropic;
    const KEYS: &'static [&'static str] = ANTHROPIC_KEYS;
    const REWRITES: bool = true;

    fn path(binding: &Binding<'_>) -> String {
        GCP.path(binding.model, binding.stream)
    }

    fn request(binding: &Binding<'_>, _scan: &Scan, body: &[u8]) -> Result<Upstream> {
        let version = GCP.version(&binding.backend.schema.version);
        let body = gcp_body(members(Self::ENDPOINT, body)?, version);
        let mut upstream = Upstream::json(Self::path(binding), &body)?;
        upstream.dropped.note(UNSIGNED, body.lacks_thinking());
        Ok(upstream)
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        anthropic_unary(members, findings);
    }

    fn event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
        anthropic_event(event, findings)
    }

    fn keeps_error(_headers: &Headers) -> bool {
        false
    }

    fn provider_error(_status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError> {
        claude::foreign_error(headers, body, "GCPAnthropicBackendError")
    }
}
