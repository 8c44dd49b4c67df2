//! Credentials that a request brings along: in headers, or in dynamic metadata.
//!
//! Headers of this kind are taken off the client's request when it is read, and no attempt puts
//! them back.

use serde::Deserialize;

use crate::config::{Auth, AuthType};
use crate::credential::{Credential, Credentials, Secret};
use crate::error::{Error, Result};
use crate::headers::Headers;

/// Takes a backend's credential from the request.
#[derive(Clone, Debug, Deserialize)]
pub struct CredentialOverride {
    /// Where it stands.
    pub source: Source,
    /// What a request without one gets.
    pub without: Without,
}

/// Where a credential stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// In the header of this name; for AWS in three: access key id, secret access key, session
    /// token.
    Headers(Vec<String>),
    /// In dynamic metadata: a text; for AWS an object of texts.
    Metadata {
        /// Namespace.
        namespace: String,
        /// Key in the namespace.
        key: String,
    },
}

/// What a request without a credential of its own gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Without {
    /// The configured credential.
    Configured,
    /// A refusal.
    Refused,
}

/// Dynamic metadata of a request, as a host reads it.
pub trait DynamicMetadata {
    /// The text at a path: namespace, key, and for AWS a member of the object there.
    fn text(&self, path: &[&str]) -> Option<String>;
}

/// Members of an AWS credential in metadata, in the order of its headers.
const AWS_MEMBERS: [&str; 3] = ["accessKeyId", "secretAccessKey", "sessionToken"];

/// The credential that a request brings for one backend.
pub(crate) enum Given {
    /// None, or none is asked for.
    Nothing,
    /// This one.
    Credential(Credential),
    /// Parts of one, or one that no header can carry.
    Broken,
}

impl Given {
    /// Reads what stands in headers.
    pub(crate) fn in_headers(auth: Option<&Auth>, headers: &Headers) -> Self {
        let Some((kind, Source::Headers(names))) = auth.and_then(Auth::source) else {
            return Self::Nothing;
        };
        // What something before the gateway appends is not the client's.
        let last = |name: &String| headers.get_all(name).last().map(<[u8]>::to_vec);
        Self::of(kind, |at| {
            String::from_utf8(names.get(at).and_then(last)?).ok()
        })
    }

    /// Reads what stands in dynamic metadata; `None` where no credential does.
    pub(crate) fn in_metadata(auth: Option<&Auth>, found: &dyn DynamicMetadata) -> Option<Self> {
        let (kind, Source::Metadata { namespace, key }) = auth.and_then(Auth::source)? else {
            return None;
        };
        Some(Self::of(kind, |at| match kind {
            AuthType::AWSCredentials => found.text(&[namespace, key, AWS_MEMBERS.get(at)?]),
            _ => found.text(&[namespace, key]),
        }))
    }

    fn of(kind: AuthType, text: impl Fn(usize) -> Option<String>) -> Self {
        let part = |at| {
            let text = text(at)?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let parts = match kind {
            AuthType::AWSCredentials => [part(0), part(1), part(2)],
            _ => [part(0), None, None],
        };
        let mut present = parts.iter().flatten();
        if present.any(|part| part.chars().any(char::is_control)) {
            return Self::Broken;
        }
        match (kind, parts) {
            (_, [None, None, None]) => Self::Nothing,
            (_, [Some(first), second, token]) => match secret(kind, first, second, token) {
                Some(secret) => Self::Credential(Credential {
                    secret,
                    expires_at: None,
                }),
                None => Self::Broken,
            },
            (_, [None, ..]) => Self::Broken,
        }
    }

    /// The credential to use; `None` when the configured one is not there.
    ///
    /// # Errors
    /// [`Error::MissingCredential`] where the request had to bring one and did not.
    pub(crate) fn or_configured<'a>(
        &'a self,
        auth: &Auth,
        configured: &'a Credentials,
        now: u64,
    ) -> Result<Option<&'a Credential>> {
        match self {
            Self::Credential(credential) => Ok(Some(credential)),
            Self::Broken => Err(Error::MissingCredential),
            Self::Nothing => match auth.credential_override.as_ref().map(|own| own.without) {
                Some(Without::Refused) => Err(Error::MissingCredential),
                Some(Without::Configured) | None => Ok(configured.get(&auth.credential, now)),
            },
        }
    }
}

fn secret(
    kind: AuthType,
    first: String,
    second: Option<String>,
    session_token: Option<String>,
) -> Option<Secret> {
    Some(match kind {
        AuthType::APIKey => Secret::APIKey { key: first },
        AuthType::AnthropicAPIKey => Secret::AnthropicAPIKey { key: first },
        AuthType::AzureAPIKey => Secret::AzureAPIKey { key: first },
        AuthType::AzureCredentials => Secret::AzureCredentials {
            access_token: first,
        },
        AuthType::GCPCredentials => Secret::GCPCredentials {
            access_token: first,
        },
        AuthType::AWSCredentials => Secret::AWSCredentials {
            access_key_id: first,
            secret_access_key: second?,
            session_token,
        },
    })
}
