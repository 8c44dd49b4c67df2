//! Metrics for Python: what a data plane has counted in its shared memory.

use std::path::PathBuf;

use aigw_runtime::metrics::{METRICS, read, text};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Fault, enter};

/// The metrics of the data plane of a runtime directory, as Prometheus text.
#[pyfunction]
pub(crate) fn metrics_text(py: Python<'_>, runtime_dir: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let found = enter(py, move || {
        let reading = read(&runtime_dir).map_err(Fault::Metrics)?;
        Ok(text(&reading))
    })?;
    Ok(PyBytes::new(py, found.as_bytes()))
}

/// The same as JSON: `{"started_at": ns, "families": [{name, unit, kind, help, points: [{labels,
/// value, counts}]}]}`.
#[pyfunction]
pub(crate) fn metrics_points(py: Python<'_>, runtime_dir: PathBuf) -> PyResult<Bound<'_, PyBytes>> {
    let found = enter(py, move || {
        let reading = read(&runtime_dir).map_err(Fault::Metrics)?;
        serde_json::to_vec(&reading).map_err(|error| Fault::Metrics(error.into()))
    })?;
    Ok(PyBytes::new(py, &found))
}

/// Every metric as JSON: `[{name, prometheus, unit, kind, labels, help}]`.
#[pyfunction]
pub(crate) fn metrics_table(py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
    let table = serde_json::to_vec(METRICS.as_slice());
    let table = enter(py, || table.map_err(|error| Fault::Metrics(error.into())))?;
    Ok(PyBytes::new(py, &table))
}
