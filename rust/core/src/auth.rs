//! Puts a backend's credential on the request that is really sent.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use crate::config::{Auth, AuthType, Backend};
use crate::credential::{Credential, Secret};
use crate::error::{Error, Result};
use crate::headers::HeaderEdits;

/// Request headers that may carry a credential of some provider. They are taken off the
/// client's request once and never come back.
pub(crate) const CREDENTIAL_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "x-amz-date",
    "x-amz-content-sha256",
];

/// What is signed.
pub(crate) struct Signable<'a> {
    pub(crate) backend: &'a Backend,
    pub(crate) auth: &'a Auth,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
    /// Unix seconds.
    pub(crate) now: u64,
}

/// True when the credential covers the body, so that its bytes must be at hand.
pub(crate) fn covers_body(auth: &Auth) -> bool {
    auth.r#type == AuthType::AWSCredentials
}

/// Adds the credential headers.
///
/// # Errors
/// [`Error::CredentialUnavailable`] when kind and credential do not fit,
/// [`Error::Internal`] when signing fails.
pub(crate) fn apply(
    signable: &Signable<'_>,
    credential: &Credential,
    edits: &mut HeaderEdits,
) -> Result<()> {
    match (signable.auth.r#type, &credential.secret) {
        (AuthType::APIKey, Secret::APIKey { key }) => {
            edits.set("authorization", format!("Bearer {}", key.trim()));
        }
        (AuthType::AnthropicAPIKey, Secret::AnthropicAPIKey { key }) => {
            edits.set("x-api-key", key.trim());
        }
        (AuthType::AzureAPIKey, Secret::AzureAPIKey { key }) => edits.set("api-key", key.trim()),
        (AuthType::AzureCredentials, Secret::AzureCredentials { access_token }) => {
            edits.set("authorization", format!("Bearer {}", access_token.trim()));
        }
        (AuthType::GCPCredentials, Secret::GCPCredentials { access_token }) => {
            edits.set("authorization", format!("Bearer {}", access_token.trim()));
            edits.set(":path", gcp_path(signable));
        }
        (
            AuthType::AWSCredentials,
            Secret::AWSCredentials {
                access_key_id,
                secret_access_key,
                session_token,
            },
        ) => {
            let keys = AwsCredentials::new(
                access_key_id.as_str(),
                secret_access_key.as_str(),
                session_token.clone(),
                None,
                "aigw",
            );
            sign_v4(signable, keys, edits)?;
        }
        _ => {
            return Err(Error::CredentialUnavailable {
                backend: signable.backend.backend.clone(),
            });
        }
    }
    Ok(())
}

/// Vertex AI paths begin with project and region, which only the credential knows.
fn gcp_path(signable: &Signable<'_>) -> String {
    let Auth {
        project, region, ..
    } = signable.auth;
    let rest = signable.path.trim_start_matches('/');
    format!("/v1/projects/{project}/locations/{region}/{rest}")
}

/// `SigV4` for service `bedrock` over host, date, token and the body's hash.
fn sign_v4(signable: &Signable<'_>, keys: AwsCredentials, edits: &mut HeaderEdits) -> Result<()> {
    let failed = |what: &dyn std::fmt::Display| Error::Internal(format!("signing failed: {what}"));
    let host = signable.backend.host.as_str();
    let region = region_of(host).unwrap_or(&signable.auth.region);
    let identity = keys.into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Double;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.signature_location = SignatureLocation::Headers;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("bedrock")
        .time(UNIX_EPOCH + Duration::from_secs(signable.now))
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let uri = format!("https://{host}{}", signable.path);
    let request = SignableRequest::new(
        "POST",
        uri,
        std::iter::empty(),
        SignableBody::Bytes(signable.body),
    )
    .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(request, &params)
        .map_err(|error| failed(&error))?
        .into_parts();
    for (name, value) in instructions.headers() {
        edits.set(name, value.as_bytes());
    }
    Ok(())
}

/// The region that a Bedrock runtime host names.
fn region_of(host: &str) -> Option<&str> {
    let rest = ["vpce.amazonaws.com", "amazonaws.com", "api.aws"]
        .into_iter()
        .find_map(|suffix| host.strip_suffix(suffix)?.strip_suffix('.'))?;
    let (before, region) = rest.rsplit_once('.')?;
    let service = before.rsplit('.').next()?;
    let plausible = !region.is_empty()
        && region
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (matches!(service, "bedrock-runtime" | "bedrock-runtime-fips") && plausible).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_from_bedrock_hosts_only() {
        for (host, want) in [
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("us-east-1")),
            (
                "vpce-1.bedrock-runtime.us-west-2.vpce.amazonaws.com",
                Some("us-west-2"),
            ),
            (
                "aaa.bedrock-runtime.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            (
                "bedrock-runtime-fips.us-east-1.amazonaws.com",
                Some("us-east-1"),
            ),
            (
                "bedrock-runtime.ap-southeast-2.api.aws",
                Some("ap-southeast-2"),
            ),
            ("bedrock.corp.internal", None),
            ("bedrock-runtime.us-east-1.amazonaws.com.evil.com", None),
            ("", None),
        ] {
            assert_eq!(region_of(host), want, "{host}");
        }
    }
}
