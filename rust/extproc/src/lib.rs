//! Envoy's ext_proc protocol around the aigw core.
//!
//! One client request has one *request stream* and one *attempt stream* per try:
//!
//! ```text
//! request stream   request headers ─▶ constant    body ─▶ header edits, metadata, new route
//! attempt stream   request headers ─▶ header edits, new body, response mode   (may wait)
//!                  response headers, body…, trailers ─▶ the core's decisions
//! ```
//!
//! The request's id travels between them as dynamic metadata, never as a header. A [`Session`]
//! is one stream without a transport; [`Server`] is the native transport.
//!
//! How a request ended for its client says Envoy's gRPC access log, which comes to the same
//! server: [`Host::access_log`].

mod access_log;
mod attempt;
mod codec;
mod connection;
mod health;
mod late;
pub mod messages;
mod reply;
mod request;
mod response;
mod server;
mod session;

pub use attempt::CONTENT_LENGTH;
pub use server::{Server, ServerOptions};
pub use session::{Host, Next, Role, Session, SessionError, WakeUp};

/// Name of the gRPC service.
pub const SERVICE: &str = "envoy.service.ext_proc.v3.ExternalProcessor";
/// Name of the gRPC service of the access log.
pub const LOG_SERVICE: &str = "envoy.service.accesslog.v3.AccessLogService";
/// gRPC metadata that names the stream's role.
pub const ROLE_HEADER: &str = "x-aigw-filter";
/// gRPC metadata that names the gateway.
pub const GATEWAY_HEADER: &str = "x-aigw-gateway";
/// Largest gRPC message: the largest body that may be configured, and its envelope.
pub const MAX_MESSAGE_BYTES: usize = 256 << 20;
