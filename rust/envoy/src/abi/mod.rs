//! Envoy's C interface for HTTP filters, and nothing of ours. All `unsafe` code of the crate.
//!
//! - `callbacks`: what Envoy exports. Every callback that is linked exists in Envoy 1.38
//!   (`callbacks-1.38.txt`); newer ones are looked up when the module runs.
//! - `stream`: a safe face of one stream inside one hook. Memory that Envoy lends is valid until
//!   the hook returns or the same map or body is changed: [`Stream`] lends it under `&self` and
//!   changes under `&mut self`, so the compiler keeps that rule.
//! - `hooks`: what Envoy calls. Whatever ends or resumes a stream may call back into the same
//!   filter, so filters only name it ([`crate::filter::Step`]) and it is done there, after their
//!   borrow is over.

mod callbacks;
mod hooks;
mod stream;

pub(crate) use callbacks::{log_debug, log_error, logs_debug, only_validates};
pub(crate) use stream::{MetadataOf, Moment, Side, Stream};
