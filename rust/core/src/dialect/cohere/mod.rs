//! Cohere's v2 API.

mod error;

pub(crate) use error::provider_error;

use crate::schema::BackendSchema;

/// Prefix and version of a backend's paths.
pub(crate) fn base(schema: &BackendSchema) -> (&str, &str) {
    let version = match schema.version.as_str() {
        "" => "v2",
        version => version,
    };
    (&schema.prefix, version)
}
