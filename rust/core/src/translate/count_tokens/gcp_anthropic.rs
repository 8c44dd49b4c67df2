//! Anthropic token counts to Vertex AI's counter: model and version are set, all else goes
//! through.
//!
//! Dropped by contract: thinking with an empty signature.

use crate::dialect::claude::{self, GCP, UNSIGNED, gcp_base_model, gcp_count_path};
use crate::edit;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::framing::TopLevel;
use crate::headers::Headers;
use crate::scan::Scan;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Dropped, Findings, Passthrough, ProviderError, Upstream};

pub(crate) struct CountTokens;

impl Passthrough for CountTokens {
    const ENDPOINT: Endpoint = Endpoint::CountTokens;
    const SCHEMA: ApiSchema = ApiSchema::GCPAnthropic;
    const KEYS: &'static [&'static str] = super::KEYS;
    const REWRITES: bool = true;

    fn path(_binding: &Binding<'_>) -> String {
        gcp_count_path()
    }

    fn request(binding: &Binding<'_>, _scan: &Scan, body: &[u8]) -> Result<Upstream> {
        let version = GCP.version(&binding.backend.schema.version);
        let text = |value: &str| serde_json::to_vec(value).unwrap_or_default();
        let model = text(gcp_base_model(binding.model));
        let signed = claude::without_unsigned(body);
        let mut dropped = Dropped::default();
        dropped.note(UNSIGNED, signed.is_some());
        let body = signed.as_deref().unwrap_or(body);
        let body = edit::set(body, &["model".to_owned()], &model)
            .and_then(|body| edit::set(&body, &["anthropic_version".to_owned()], &text(version)));
        Ok(Upstream {
            path: Self::path(binding),
            body,
            dropped,
            ..Upstream::default()
        })
    }

    fn unary(members: &TopLevel, findings: &mut Findings) {
        super::read(members, findings);
    }

    fn keeps_error(_headers: &Headers) -> bool {
        false
    }

    fn provider_error(_status: u16, headers: &Headers, body: &[u8]) -> Option<ProviderError> {
        claude::foreign_error(headers, body, "GCPAnthropicBackendError")
    }
}
