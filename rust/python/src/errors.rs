//! What can go wrong behind the door, and the one place that leaves the GIL and maps errors.

use std::ffi::CStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aigw_core::error::Reply;
use aigw_extproc::SessionError;
use aigw_runtime::StartError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};

/// A failed call.
pub(crate) enum Fault {
    /// The filter config is wrong.
    Config(String),
    /// The runtime directory cannot be used.
    Start(StartError),
    /// The server cannot listen.
    Listen(io::Error),
    /// No metrics can be read.
    Metrics(io::Error),
    /// An ext_proc stream cannot go on.
    Session(SessionError),
    /// The gateway answers itself.
    Rejected(Reply),
    /// The steps of an exchange were called in a wrong order.
    Order(&'static str),
    /// The usage ledger cannot be read or written.
    Ledger(String),
    /// A fault of the gateway itself.
    Panicked,
}

/// Runs `step` without the GIL; panics become `InternalError`.
pub(crate) fn enter<T: Send>(
    py: Python<'_>,
    step: impl FnOnce() -> Result<T, Fault> + Send,
) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(step)).unwrap_or(Err(Fault::Panicked)))
        .map_err(|fault| fault.raise(py))
}

/// The exception classes.
struct Classes {
    core: Py<PyType>,
    config: Py<PyType>,
    start: Py<PyType>,
    session: Py<PyType>,
    request: Py<PyType>,
    order: Py<PyType>,
    ledger: Py<PyType>,
    internal: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Makes the exception classes and adds them to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let classes = CLASSES.get_or_try_init(py, || Classes::new(py))?;
    for class in classes.all() {
        let class = class.bind(py);
        module.add(class.name()?, class)?;
    }
    Ok(())
}

impl Classes {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let base = py.import("aigw.errors")?.getattr("AigwError")?;
        let base = base.cast_into::<PyType>()?;
        let core = class(
            py,
            c"aigw._core.CoreError",
            c"Base of the errors of the Rust core; `kind` names the fault, `status` is the HTTP status that stands for it.",
            &base,
        )?;
        let parent = core.bind(py).clone();
        let sub = |name, doc| class(py, name, doc, &parent);
        Ok(Self {
            config: sub(c"aigw._core.ConfigError", c"The filter config is wrong.")?,
            start: sub(
                c"aigw._core.StartError",
                c"A data plane cannot start on its directory or socket.",
            )?,
            session: sub(
                c"aigw._core.SessionError",
                c"An ext_proc stream cannot go on.",
            )?,
            request: sub(
                c"aigw._core.RequestError",
                c"The gateway answers the request itself; `reply` is the answer.",
            )?,
            order: sub(
                c"aigw._core.CallOrderError",
                c"The steps of an exchange were called in a wrong order.",
            )?,
            ledger: sub(
                c"aigw._core.LedgerError",
                c"The usage ledger cannot be read or written.",
            )?,
            internal: sub(
                c"aigw._core.InternalError",
                c"A fault of the gateway itself.",
            )?,
            core,
        })
    }

    fn all(&self) -> [&Py<PyType>; 8] {
        [
            &self.core,
            &self.config,
            &self.start,
            &self.session,
            &self.request,
            &self.order,
            &self.ledger,
            &self.internal,
        ]
    }
}

fn class(
    py: Python<'_>,
    name: &CStr,
    doc: &CStr,
    base: &Bound<'_, PyType>,
) -> PyResult<Py<PyType>> {
    PyErr::new_type(py, name, Some(doc), Some(base), None)
}

impl Fault {
    fn raise(self, py: Python<'_>) -> PyErr {
        match CLASSES.get(py) {
            Some(classes) => self.exception(py, classes).unwrap_or_else(|error| error),
            None => PyErr::new::<pyo3::exceptions::PyRuntimeError, _>("aigw._core is not loaded"),
        }
    }

    fn exception(self, py: Python<'_>, classes: &Classes) -> PyResult<PyErr> {
        let (class, kind, status, text) = match &self {
            Self::Config(reason) => (&classes.config, "config", 500, reason.clone()),
            Self::Start(error) => (&classes.start, "start", 503, error.to_string()),
            Self::Listen(error) => (&classes.start, "listen", 503, error.to_string()),
            Self::Metrics(error) => (&classes.start, "metrics", 503, error.to_string()),
            Self::Session(error) => (&classes.session, "session", 500, error.to_string()),
            Self::Rejected(reply) => (
                &classes.request,
                reply.kind,
                reply.status,
                format!("{} {}", reply.status, reply.kind),
            ),
            Self::Order(text) => (&classes.order, "call_order", 500, (*text).to_owned()),
            Self::Ledger(text) => (&classes.ledger, "ledger", 500, text.clone()),
            Self::Panicked => (
                &classes.internal,
                "internal",
                500,
                "internal error of the gateway".to_owned(),
            ),
        };
        let error = PyErr::from_type(class.bind(py).clone(), text);
        let value = error.value(py);
        value.setattr("kind", kind)?;
        value.setattr("status", status)?;
        if let Self::Rejected(reply) = self {
            value.setattr("body", PyBytes::new(py, &reply.body))?;
            value.setattr("reply", crate::parts::Reply::from(reply))?;
        }
        Ok(error)
    }
}
