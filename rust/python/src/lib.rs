//! `aigw._core`: the door through which Python uses the core. Bytes in, bytes out.

mod errors;
mod exchange;
mod extproc;
mod parts;

use aigw_core::config::Config;
use aigw_core::error::{ENVOY_ERRORS, ERROR_TABLE};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::json;

use crate::errors::{Fault, enter};

/// Version of the package.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Checks the bytes of a `config.json`.
#[pyfunction]
fn check_config(py: Python<'_>, config: &[u8]) -> PyResult<()> {
    enter(py, || {
        Config::parse(config).map(|_| ()).map_err(Fault::Config)
    })
}

/// Every error reply as JSON: `{"core": [{kind, status, type}], "envoy": [{status, type,
/// message}]}`.
#[pyfunction]
fn error_table(py: Python<'_>) -> Bound<'_, PyBytes> {
    let envoy: Vec<_> = ENVOY_ERRORS
        .iter()
        .map(|(status, kind, message)| json!({"status": status, "type": kind, "message": message}))
        .collect();
    let table = json!({"core": ERROR_TABLE, "envoy": envoy});
    PyBytes::new(py, table.to_string().as_bytes())
}

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{check_config, error_table, version};

    #[pymodule_export]
    use crate::exchange::{Attempt, Exchange};
    #[pymodule_export]
    use crate::extproc::{ExtProcHost, ExtProcServer, ExtProcSession};
    #[pymodule_export]
    use crate::parts::{BodyStep, Reply, ResponseHead, UpstreamRequest};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::register(module)
    }
}
