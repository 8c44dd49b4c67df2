//! Credentials of backends, as the control side hands them over.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;

/// The credentials file: see `docs/architecture.md`, "Runtime directory".
#[derive(Default, Deserialize)]
pub struct CredentialFile {
    /// Format version.
    pub version: u32,
    /// Credentials by `<ns>/<policy>`.
    #[serde(default)]
    pub credentials: HashMap<String, Credential>,
}

/// One usable credential. Never printed.
#[derive(Clone, Deserialize)]
pub struct Credential {
    /// The secret itself.
    #[serde(flatten)]
    pub secret: Secret,
    /// Unix seconds after which it must not be used.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

/// Credential kinds, named as `BackendSecurityPolicy.spec.type`.
#[derive(Clone, Deserialize)]
#[serde(tag = "type")]
pub enum Secret {
    /// `authorization: Bearer <key>`
    APIKey {
        /// The key.
        key: String,
    },
    /// `x-api-key: <key>`
    AnthropicAPIKey {
        /// The key.
        key: String,
    },
    /// `api-key: <key>`
    AzureAPIKey {
        /// The key.
        key: String,
    },
    /// `authorization: Bearer <token>`
    AzureCredentials {
        /// The access token.
        access_token: String,
    },
    /// `authorization: Bearer <token>`, and project and region before the path.
    GCPCredentials {
        /// The access token.
        access_token: String,
    },
    /// `SigV4` with these keys.
    AWSCredentials {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: String,
        /// Session token of temporary credentials.
        #[serde(default)]
        session_token: Option<String>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([REDACTED])")
    }
}

/// Credentials in force.
#[derive(Debug, Default)]
pub struct Credentials(HashMap<String, Credential>);

impl Credentials {
    /// Reads the credentials file.
    ///
    /// # Errors
    /// Says where the text is not as expected, never what it says.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: CredentialFile = serde_json::from_slice(bytes).map_err(|e| {
            format!(
                "credentials: {:?} error at line {} column {}",
                e.classify(),
                e.line(),
                e.column()
            )
        })?;
        if file.version != 1 {
            return Err(format!(
                "credentials: version {} is not supported",
                file.version
            ));
        }
        Ok(Self(file.credentials))
    }

    /// A credential that is usable at `now` (Unix seconds).
    pub fn get(&self, name: &str, now: u64) -> Option<&Credential> {
        self.0
            .get(name)
            .filter(|c| c.expires_at.is_none_or(|end| now < end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = br#"{"version":1,"credentials":{
        "ns/k":{"type":"APIKey","key":"sk-1"},
        "ns/old":{"type":"AnthropicAPIKey","key":"x","expires_at":100}}}"#;

    #[test]
    fn expired_credentials_are_absent() {
        let credentials = Credentials::parse(FILE).unwrap();
        assert!(credentials.get("ns/k", 5000).is_some());
        assert!(credentials.get("ns/old", 99).is_some());
        assert!(credentials.get("ns/old", 100).is_none());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let credentials = Credentials::parse(FILE).unwrap();
        assert!(!format!("{credentials:?}").contains("sk-1"));
        let broken = Credentials::parse(
            br#"{"version":1,"credentials":{"a":{"type":"sk-2","key":"sk-3"}}}"#,
        );
        assert!(!broken.unwrap_err().contains("sk-"));
    }
}
