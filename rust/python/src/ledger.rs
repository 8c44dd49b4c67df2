//! Reading the usage ledger.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aigw_runtime::ledger::{self, Query, Records};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Fault, enter};

/// Usage of a ledger, grouped, as JSON. `query` is JSON: `{"since": ns, "by": "model" | "backend" |
/// "route" | "identity" | {"attribute": name}}`.
#[pyfunction]
pub(crate) fn ledger_report<'py>(
    py: Python<'py>,
    directory: PathBuf,
    query: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let report = enter(py, move || {
        let query: Query = serde_json::from_slice(query).map_err(|error| fault(&error))?;
        let report = ledger::report(&directory, &query).map_err(|(path, error)| {
            let place = path.display();
            Fault::Ledger(format!("{place}: {error}"))
        })?;
        serde_json::to_vec(&report).map_err(|error| fault(&error))
    })?;
    Ok(PyBytes::new(py, &report))
}

/// Brings what dead processes left in a runtime directory into the ledger that its `config.json`
/// names.
#[pyfunction]
pub(crate) fn recover_ledger(py: Python<'_>, runtime_dir: PathBuf) -> PyResult<()> {
    enter(py, move || {
        ledger::recover(&runtime_dir).map_err(|error| place_fault(&runtime_dir, &error))
    })
}

fn fault(error: &dyn std::fmt::Display) -> Fault {
    Fault::Ledger(error.to_string())
}

fn place_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::Ledger(format!("{}: {error}", path.display()))
}

/// Single records of a ledger, from a position that can be kept.
#[pyclass(frozen, module = "aigw._core")]
pub(crate) struct LedgerRecords {
    directory: PathBuf,
    records: Mutex<Records>,
}

#[pymethods]
impl LedgerRecords {
    #[new]
    #[pyo3(signature = (directory, cursor = b"".as_slice()))]
    fn new(py: Python<'_>, directory: PathBuf, cursor: &[u8]) -> PyResult<Self> {
        enter(py, || {
            let records = Records::open(&directory, cursor).map_err(Fault::Ledger)?;
            Ok(Self {
                directory,
                records: Mutex::new(records),
            })
        })
    }

    /// Goes on where the reader of this name was when it called `keep`.
    #[staticmethod]
    fn resume(py: Python<'_>, directory: PathBuf, name: &str) -> PyResult<Self> {
        enter(py, || {
            let records = Records::resume(&directory, name).map_err(Fault::Ledger)?;
            Ok(Self {
                directory,
                records: Mutex::new(records),
            })
        })
    }

    /// The next records, as JSON, at most `limit`; none when there are no more yet.
    fn read<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let found = enter(py, || {
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            let found = records.read(limit);
            found.map_err(|error| place_fault(&self.directory, &error))
        })?;
        Ok(found.iter().map(|text| PyBytes::new(py, text)).collect())
    }

    /// Where `read` goes on.
    #[getter]
    fn cursor<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        PyBytes::new(py, &records.cursor())
    }

    /// Keeps the position in the ledger; what lies behind it is the first to be removed.
    fn keep(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        enter(py, || {
            let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = records.keep(name);
            kept.map_err(|error| place_fault(&self.directory, &error))
        })
    }
}
