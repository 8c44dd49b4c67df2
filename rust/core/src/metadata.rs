//! Dynamic metadata that the core writes for access logs and other filters.

use std::borrow::Cow;

/// Namespace of everything below.
pub const NAMESPACE: &str = "io.envoy.ai_gateway";

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Number; Envoy keeps it as a double.
    Number(f64),
}

/// Keys and values to merge into [`NAMESPACE`]. Later values of a key replace earlier ones.
pub type Metadata = Vec<(Cow<'static, str>, Value)>;

/// Namespace of what the configuration says about routes, clusters and hosts.
pub const CONFIGURED: &str = "aigateway.envoy.io";
/// Key of a route in [`CONFIGURED`]: a hash of its security policy; absent without one.
pub const SECURITY_POLICY: &str = "security_policy";

/// The model that the client asked for.
pub const ORIGINAL_MODEL: &str = "original_model";
/// Id of the request, 32 hex digits.
pub const REQUEST_ID: &str = "request_id";
/// `:path` as the client sent it, without its query, which may hold a key.
pub const ORIGINAL_PATH: &str = "original_path";
/// `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>` of the serving backend.
pub const BACKEND_NAME: &str = "backend_name";
/// `<ns>/<backend>` of the serving backend.
pub const AI_SERVICE_BACKEND_NAME: &str = "ai_service_backend_name";
/// `<ns>/<route>`.
pub const ROUTE_NAME: &str = "route_name";
/// Model after the backend's override.
pub const MODEL_NAME_OVERRIDE: &str = "model_name_override";
/// `true` when some counters are estimates: the provider did not report them.
pub const USAGE_ESTIMATED: &str = "usage_estimated";
/// Model that the provider reported.
pub const RESPONSE_MODEL: &str = "response_model";
/// Milliseconds to the first output token of a stream.
pub const TOKEN_LATENCY_TTFT: &str = "token_latency_ttft";
/// Mean milliseconds between output tokens of a stream.
pub const TOKEN_LATENCY_ITL: &str = "token_latency_itl";
/// Attempts made.
pub const ATTEMPTS: &str = "attempts";
