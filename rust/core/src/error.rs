//! What can go wrong with one request, by who is at fault, and the one map to replies.

use serde::Serialize;

use crate::endpoint::ClientApi;
use crate::headers::Headers;
use crate::translate::ProviderError;

/// Result of core steps.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The body cannot be read: syntax, type of a field that the gateway reads.
    #[error("malformed request: {0}")]
    MalformedRequest(String),
    /// A field is understood and refused by the parser of the endpoint.
    #[error("invalid request body: {0}")]
    InvalidRequest(String),
    /// The chosen backend cannot express the request.
    #[error("invalid request body: {0}")]
    Untranslatable(String),
    /// The chosen backend cannot express a part of the request.
    #[error("{part}: invalid request body: {why}")]
    UntranslatablePart {
        /// What is wrong with which part: `invalid tools`.
        part: &'static str,
        /// Why.
        why: String,
    },
    /// No endpoint at this path.
    #[error("unsupported path: {path}; on offer: {offer}")]
    UnknownPath {
        /// The path without query.
        path: String,
        /// Paths on offer.
        offer: String,
    },
    /// The endpoint does not answer this method.
    #[error("method {method} is not allowed for {path}; use {allow}")]
    MethodNotAllowed {
        /// What the client sent.
        method: String,
        /// Endpoint path.
        path: &'static str,
        /// What the endpoint answers.
        allow: &'static str,
    },
    /// The backend's schema cannot serve the endpoint.
    #[error(
        "unsupported API schema: backend {backend} speaks {schema}, which cannot serve {endpoint}"
    )]
    UnsupportedSchema {
        /// `<ns>/<name>` of the AIServiceBackend.
        backend: String,
        /// Schema name.
        schema: &'static str,
        /// Endpoint path.
        endpoint: &'static str,
    },
    /// A per-request credential is required and absent.
    #[error("missing upstream credential")]
    MissingCredential,
    /// The backend's credential is not usable now.
    #[error("the credential of backend {backend} is not available")]
    CredentialUnavailable {
        /// `<ns>/<name>` of the AIServiceBackend.
        backend: String,
    },
    /// The data plane does not know the backend or the request (yet).
    #[error("the gateway is not ready for this request")]
    NotReady,
    /// The body is larger than the gateway's limit.
    #[error("the request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The provider broke its own protocol: bad framing, undecodable reply, early end.
    #[error("the provider sent an invalid response: {0}")]
    UpstreamProtocol(String),
    /// The provider reported an error inside a reply that began as a success.
    #[error("{message}")]
    UpstreamStream {
        /// Status that stands for the error.
        status: u16,
        /// Error type as the provider names it.
        kind: String,
        /// The provider's text.
        message: String,
    },
    /// The final route has another security policy than the one that let the request in.
    #[error("the route of this request has a security policy that did not admit it")]
    OtherPolicy,
    /// A fault of the gateway itself. The text stays inside.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Name of an [`Error`] variant: record `error_kind`, response-code detail.
pub type ErrorKind = &'static str;

/// One row of the error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorRow {
    /// Stable name.
    pub kind: ErrorKind,
    /// HTTP status.
    pub status: u16,
    /// `error.type` in the body.
    pub r#type: &'static str,
}

const fn row(kind: ErrorKind, status: u16, r#type: &'static str) -> ErrorRow {
    ErrorRow {
        kind,
        status,
        r#type,
    }
}

/// Errors of the core and the reply that each one gets.
pub const ERROR_TABLE: &[ErrorRow] = &[
    row("malformed_request", 400, "BadRequest"),
    row("invalid_request", 400, "BadRequest"),
    row("untranslatable", 422, "UnprocessableEntity"),
    row("unknown_path", 404, "NotFound"),
    row("method_not_allowed", 405, "MethodNotAllowed"),
    row("unsupported_schema", 422, "UnprocessableEntity"),
    row("missing_credential", 401, "Unauthorized"),
    row("credential_unavailable", 503, "ServiceUnavailable"),
    row("not_ready", 503, "ServiceUnavailable"),
    row("body_too_large", 413, "RequestTooLarge"),
    row("upstream_protocol", 502, "BadGateway"),
    row("upstream_stream", 502, "UpstreamError"),
    row("other_policy", 403, "Forbidden"),
    row("internal", 500, "InternalError"),
];

/// An error that Envoy answers itself; the hosts' configuration gives it the client's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EnvoyError {
    /// HTTP status.
    pub status: u16,
    /// `error.type` in the body.
    pub r#type: &'static str,
    /// `error.message` in the body.
    pub message: &'static str,
    /// Prefix of Envoy's response-code details, empty for any.
    pub details: &'static str,
}

const fn envoy(
    status: u16,
    r#type: &'static str,
    message: &'static str,
    details: &'static str,
) -> EnvoyError {
    EnvoyError {
        status,
        r#type,
        message,
        details,
    }
}

/// Errors of Envoy. The first match wins; a row with details precedes the general row of its
/// status.
pub const ENVOY_ERRORS: &[EnvoyError] = &[
    envoy(400, "BadRequest", "the request is not valid HTTP", ""),
    envoy(401, "Unauthorized", "authentication failed", ""),
    envoy(
        403,
        "Forbidden",
        "an upgrade to another protocol is not supported",
        "upgrade_failed",
    ),
    envoy(403, "Forbidden", "access denied", ""),
    envoy(404, "NotFound", "no matching route", ""),
    envoy(
        408,
        "RequestTimeout",
        "the request took too long to arrive",
        "",
    ),
    envoy(
        413,
        "RequestTooLarge",
        "the request body is larger than the gateway's limit",
        "",
    ),
    envoy(
        426,
        "UpgradeRequired",
        "this protocol version is not supported",
        "",
    ),
    envoy(429, "TooManyRequests", "rate limit exceeded", ""),
    envoy(
        431,
        "RequestTooLarge",
        "the request headers are too large",
        "",
    ),
    envoy(500, "InternalError", "internal error of the gateway", ""),
    envoy(
        501,
        "NotImplemented",
        "this transfer encoding is not supported",
        "",
    ),
    envoy(
        502,
        "BadGateway",
        "the provider sent an invalid response",
        "",
    ),
    envoy(
        503,
        "ServiceUnavailable",
        "too many requests to the provider are in flight",
        "upstream_reset_before_response_started{overflow",
    ),
    envoy(
        503,
        "ServiceUnavailable",
        "no provider is reachable for this request",
        "",
    ),
    envoy(
        504,
        "GatewayTimeout",
        "the provider did not answer in time",
        "",
    ),
];

impl Error {
    /// The row of this error.
    pub fn row(&self) -> ErrorRow {
        let index = match self {
            Self::MalformedRequest(_) => 0,
            Self::InvalidRequest(_) => 1,
            Self::Untranslatable(_) | Self::UntranslatablePart { .. } => 2,
            Self::UnknownPath { .. } => 3,
            Self::MethodNotAllowed { .. } => 4,
            Self::UnsupportedSchema { .. } => 5,
            Self::MissingCredential => 6,
            Self::CredentialUnavailable { .. } => 7,
            Self::NotReady => 8,
            Self::BodyTooLarge { .. } => 9,
            Self::UpstreamProtocol(_) => 10,
            Self::UpstreamStream { .. } => 11,
            Self::OtherPolicy => 12,
            Self::Internal(_) => 13,
        };
        ERROR_TABLE
            .get(index)
            .copied()
            .unwrap_or(row("internal", 500, "InternalError"))
    }

    /// Status for the client.
    pub fn status(&self) -> u16 {
        match self {
            Self::UpstreamStream { status, .. } => *status,
            other => other.row().status,
        }
    }

    /// The reply in the client's shape.
    pub fn reply(&self, api: ClientApi) -> Reply {
        let row = self.row();
        let status = self.status();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        match self {
            Self::MethodNotAllowed { allow, .. } => headers.push(("allow", (*allow).to_owned())),
            Self::NotReady | Self::CredentialUnavailable { .. } => {
                headers.push(("retry-after", "5".to_owned()));
            }
            _ => {}
        }
        Reply {
            status,
            headers,
            body: self.body(api),
            kind: row.kind,
        }
    }

    /// The JSON body in the client's shape.
    pub fn body(&self, api: ClientApi) -> Vec<u8> {
        error_body(api, self.kind(api), self.status(), Some(&self.message()))
    }

    /// `error.type` in the words of the client's API.
    pub(crate) fn kind(&self, api: ClientApi) -> &str {
        match self {
            Self::UpstreamStream { kind, status, .. } if api == ClientApi::Anthropic => {
                anthropic_stream_type(kind, *status)
            }
            Self::UpstreamStream { kind, .. } if !kind.is_empty() => kind.as_str(),
            _ => self.row().r#type,
        }
    }

    /// `error.message`.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Internal(_) => "internal error of the gateway".to_owned(),
            other => other.to_string(),
        }
    }
}

/// The JSON error body of every API on offer.
///
/// OpenAI and Anthropic clients read `error`, Cohere clients the top-level `message`.
pub fn error_body(api: ClientApi, kind: &str, status: u16, message: Option<&str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Detail<'a> {
        r#type: &'a str,
        code: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        error: Detail<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    }
    let body = Body {
        r#type: "error",
        error: Detail {
            r#type: kind,
            code: status.to_string(),
            message,
        },
        message: message.filter(|_| api == ClientApi::Cohere),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
struct CohereError<'a> {
    message: &'a str,
}

/// A provider's error in the words of the client's API.
///
/// Anthropic's libraries expect its own types, so the status decides on the type there.
pub(crate) fn provider_error_body(
    api: ClientApi,
    status: u16,
    error: &ProviderError,
    headers: &Headers,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Detail<'a> {
        r#type: &'a str,
        message: &'a str,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        error: Detail<'a>,
        request_id: &'a str,
    }
    match api {
        ClientApi::OpenAI => {
            return error_body(api, &error.kind, status, error.message.as_deref());
        }
        ClientApi::Cohere => {
            let message = error.message.as_deref().unwrap_or_default();
            return serde_json::to_vec(&CohereError { message }).unwrap_or_default();
        }
        ClientApi::Anthropic => {}
    }
    let given = |name| headers.get_str(name).filter(|id| !id.is_empty());
    let body = Body {
        r#type: "error",
        error: Detail {
            r#type: anthropic_type(status),
            message: error.message.as_deref().unwrap_or_default(),
        },
        request_id: given("request-id")
            .or_else(|| given("x-amzn-requestid"))
            .unwrap_or_default(),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// Anthropic's error type for a status.
fn anthropic_type(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "service_unavailable_error",
        529 => "overloaded_error",
        _ => "internal_server_error",
    }
}

/// Anthropic's error types.
const ANTHROPIC_TYPES: &[&str] = &[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
];

/// Anthropic's error type for an error inside a stream: its own stays.
fn anthropic_stream_type(kind: &str, status: u16) -> &str {
    match status {
        _ if ANTHROPIC_TYPES.contains(&kind) => kind,
        400 | 401 | 403 | 404 | 413 | 429 => anthropic_type(status),
        408 | 503 | 504 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// An answer that the gateway gives itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers besides `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Stable name for records and Envoy's response-code details.
    pub kind: &'static str,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Reply({} {}, {} bytes)",
            self.status,
            self.kind,
            self.body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_its_own_row() {
        let all = [
            Error::MalformedRequest(String::new()),
            Error::InvalidRequest(String::new()),
            Error::Untranslatable(String::new()),
            Error::UnknownPath {
                path: String::new(),
                offer: String::new(),
            },
            Error::MethodNotAllowed {
                method: String::new(),
                path: "",
                allow: "POST",
            },
            Error::UnsupportedSchema {
                backend: String::new(),
                schema: "",
                endpoint: "",
            },
            Error::MissingCredential,
            Error::CredentialUnavailable {
                backend: String::new(),
            },
            Error::NotReady,
            Error::BodyTooLarge { limit: 1 },
            Error::UpstreamProtocol(String::new()),
            Error::UpstreamStream {
                status: 529,
                kind: "overloaded_error".into(),
                message: "m".into(),
            },
            Error::OtherPolicy,
            Error::Internal("secret detail".into()),
        ];
        let kinds: Vec<_> = all.iter().map(|e| e.row().kind).collect();
        assert_eq!(
            kinds,
            ERROR_TABLE.iter().map(|row| row.kind).collect::<Vec<_>>()
        );
        for error in &all {
            let reply = error.reply(ClientApi::OpenAI);
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["error"]["code"], reply.status.to_string());
            assert!(!body.to_string().contains("secret detail"));
        }
    }

    #[test]
    fn quotes_and_newlines_stay_valid_json() {
        let reply = Error::MalformedRequest("a \"b\"\n\u{1}".into()).reply(ClientApi::Cohere);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["message"], "malformed request: a \"b\"\n\u{1}");
    }
}
