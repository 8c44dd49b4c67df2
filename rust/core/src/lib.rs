//! The core of aigw: what happens to a request and to its reply, as pure steps.
//!
//! No I/O, no clock, no threads, no globals. A host (Envoy module or ext_proc server)
//! hands in headers and bytes and carries out what comes back:
//!
//! ```text
//! request head ─▶ on_head ─▶ reply | pending ─▶ on_body ─▶ Request (shared by all attempts)
//! attempt      ─▶ Attempt::bind ─▶ prepare ─▶ header edits, new body | wait | reply
//! response     ─▶ response_head ─▶ response_body… ─▶ finish ─▶ AttemptRecord
//! ```
//!
//! Every attempt is built from the pristine request, so nothing of one attempt can reach
//! the provider of the next.

#![forbid(unsafe_code)]

pub mod bpe;
pub mod cel;
pub mod config;
pub mod cost;
pub mod credential;
pub mod credential_override;
pub mod endpoint;
pub mod error;
pub mod framing;
pub mod headers;
pub mod metadata;
pub mod price;
pub mod record;
pub mod redact;
pub mod registry;
pub mod schema;
pub mod session;
pub mod translate;
pub mod usage;

pub mod attributes;
mod auth;
mod dialect;
mod edit;
mod estimate;
mod form;
mod listing;
pub mod mutate;
mod scan;
mod wire;
