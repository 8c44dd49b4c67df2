//! `aigw._core`: the door through which Python uses the core. Bytes in, bytes out.

mod cel;
mod errors;
mod exchange;
mod extproc;
mod ledger;
mod metrics;
mod parts;

use std::collections::BTreeMap;
use std::io::Write;

use aigw_core::config::Config;
use aigw_core::endpoint::{EndpointPrefixes, PathTable};
use aigw_core::error::{ENVOY_ERRORS, ERROR_TABLE};
use aigw_core::registry::TRANSLATORS;
use aigw_core::schema::ApiSchema;
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

/// Writes redacted debug lines of every exchange of this process to standard error.
#[pyfunction]
fn enable_debug_log() {
    aigw_runtime::debug::enable(|line| {
        let _ = writeln!(std::io::stderr(), "DEBUG {line}");
    });
}

/// Every error reply as JSON: `{"core": [{kind, status, type}], "envoy": [{status, type, message,
/// details}]}`.
#[pyfunction]
fn error_table(py: Python<'_>) -> Bound<'_, PyBytes> {
    let table = json!({"core": ERROR_TABLE, "envoy": ENVOY_ERRORS});
    PyBytes::new(py, table.to_string().as_bytes())
}

/// Which endpoint is served from which schema, as JSON: `{"schemas": [name], "endpoints":
/// [{path, schemas: {name: "passthrough" | "translated" | "local"}}]}`. `prefixes` is JSON, as in
/// the filter config; what it leaves out is as in a default installation.
#[pyfunction]
#[pyo3(signature = (prefixes = b"{}".as_slice()))]
fn support_matrix<'py>(py: Python<'py>, prefixes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let matrix = enter(py, || {
        let prefixes = serde_json::from_slice(prefixes)
            .map_err(|error| Fault::Config(format!("endpoint prefixes: {error}")))?;
        Ok(support(&prefixes))
    })?;
    Ok(PyBytes::new(py, matrix.as_bytes()))
}

fn support(prefixes: &EndpointPrefixes) -> String {
    let endpoints: Vec<_> = PathTable::new(prefixes)
        .iter()
        .map(|(path, endpoint)| {
            let schemas: BTreeMap<_, _> = TRANSLATORS
                .iter()
                .filter(|entry| entry.endpoint == endpoint)
                .map(|entry| (entry.schema.name(), entry.service.name()))
                .collect();
            json!({"path": path, "schemas": schemas})
        })
        .collect();
    let schemas = ApiSchema::ALL.map(ApiSchema::name);
    json!({"schemas": schemas, "endpoints": endpoints}).to_string()
}

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{check_config, enable_debug_log, error_table, support_matrix, version};

    #[pymodule_export]
    use crate::cel::{cost_fault, evaluate_cel};
    #[pymodule_export]
    use crate::exchange::{Attempt, Exchange};
    #[pymodule_export]
    use crate::extproc::{ExtProcHost, ExtProcServer, ExtProcSession};
    #[pymodule_export]
    use crate::ledger::{LedgerRecords, ledger_report, recover_ledger};
    #[pymodule_export]
    use crate::metrics::{metrics_points, metrics_table, metrics_text};
    #[pymodule_export]
    use crate::parts::{BodyStep, Reply, ResponseHead, UpstreamRequest};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::register(module)
    }
}
