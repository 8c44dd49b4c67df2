//! ext_proc for Python: the native server, and sessions for a transport written in Python.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aigw_extproc::{Host, Next, Role, Server, ServerOptions, Session, WakeUp};
use aigw_runtime::Runtime;
use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::errors::{Fault, enter};

/// Longest time that may be waited for, in seconds.
const FOREVER: f64 = 1e9;

/// The native server on a Unix socket, in threads of its own.
#[pyclass(frozen, module = "aigw._core")]
pub(crate) struct ExtProcServer {
    runtime_dir: PathBuf,
    options: ServerOptions,
    running: Mutex<Option<(Arc<Host>, Arc<Server>)>>,
}

#[pymethods]
impl ExtProcServer {
    #[new]
    fn new(runtime_dir: PathBuf, socket: PathBuf, threads: usize) -> Self {
        Self {
            runtime_dir,
            options: ServerOptions { socket, threads },
            running: Mutex::new(None),
        }
    }

    /// Listens; the socket accepts connections when this returns. Starting twice is harmless.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, || {
            let mut running = lock(&self.running);
            if running.is_none() {
                let host = open(&self.runtime_dir)?;
                let server = Server::start(&host, &self.options).map_err(Fault::Listen)?;
                *running = Some((host, Arc::new(server)));
            }
            Ok(())
        })
    }

    /// Health turns to "not serving"; everything else goes on.
    fn set_not_ready(&self) {
        if let Some((_, server)) = lock(&self.running).as_ref() {
            server.set_not_ready();
        }
    }

    /// Takes no new streams, waits for running ones and ends the rest after `drain_seconds`.
    fn stop(&self, py: Python<'_>, drain_seconds: f64) -> PyResult<()> {
        let drain = seconds(drain_seconds);
        enter(py, || {
            let running = lock(&self.running).take();
            if let Some((_, server)) = running {
                server.stop(drain);
            }
            Ok(())
        })
    }

    /// Whether the health service answers "serving".
    #[getter]
    fn is_serving(&self) -> bool {
        lock(&self.running)
            .as_ref()
            .is_some_and(|(_, server)| server.is_serving())
    }

    /// Requests that were read and are not over.
    #[getter]
    fn in_flight(&self) -> usize {
        lock(&self.running)
            .as_ref()
            .map_or(0, |(host, _)| host.table().len())
    }
}

/// What the sessions of one process share, for a transport written in Python.
#[pyclass(frozen, module = "aigw._core")]
pub(crate) struct ExtProcHost {
    host: Arc<Host>,
}

#[pymethods]
impl ExtProcHost {
    #[new]
    fn new(py: Python<'_>, runtime_dir: PathBuf) -> PyResult<Self> {
        enter(py, move || {
            Ok(Self {
                host: open(&runtime_dir)?,
            })
        })
    }

    /// A session for a stream; `role` is `request` or `attempt`.
    fn session(&self, py: Python<'_>, role: &str, gateway: &str) -> PyResult<ExtProcSession> {
        enter(py, || {
            let role = Role::from_name(role)
                .ok_or(Fault::Order("the role is \"request\" or \"attempt\""))?;
            Ok(ExtProcSession::new(Arc::clone(&self.host), role, gateway))
        })
    }

    /// Takes in a message of Envoy's access log.
    fn access_log(&self, py: Python<'_>, message: &[u8]) -> PyResult<()> {
        let message = Bytes::copy_from_slice(message);
        enter(py, || self.host.access_log(message).map_err(Fault::Session))
    }

    /// Requests whose record is not written yet.
    #[getter]
    fn unwritten(&self) -> usize {
        self.host.unwritten()
    }

    /// Requests that were read and are not over.
    #[getter]
    fn in_flight(&self) -> usize {
        self.host.table().len()
    }
}

/// One stream. Call `close` when the stream is over.
#[pyclass(frozen, module = "aigw._core")]
pub(crate) struct ExtProcSession {
    inner: Mutex<Inner>,
    alarm: Arc<Alarm>,
}

struct Inner {
    session: Option<Session>,
    next: Next,
}

#[derive(Default)]
struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

#[pymethods]
impl ExtProcSession {
    /// Takes in a message; returns the replies that are due now.
    fn handle<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let message = Bytes::copy_from_slice(message);
        let replies = enter(py, || {
            self.step(|session, out| session.on_message(message, out))
        })?;
        list(py, &replies)
    }

    /// Blocks until the wait is over, `timeout` seconds at most; returns the replies, if any.
    fn resume<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        let timeout = seconds(timeout);
        let replies = enter(py, || {
            if self.alarm.wait(timeout) {
                self.step(Session::resume)
            } else {
                Ok(Vec::new())
            }
        })?;
        list(py, &replies)
    }

    /// Whether replies are still to come without a further message: call `resume`.
    #[getter]
    fn pending(&self) -> bool {
        lock(&self.inner).next == Next::Wait
    }

    /// Whether the stream is to be closed with status OK.
    #[getter]
    fn finished(&self) -> bool {
        lock(&self.inner).next == Next::Close
    }

    /// The stream is over: ends the request, or the attempt.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, || {
            let session = lock(&self.inner).session.take();
            drop(session);
            self.alarm.ring();
            Ok(())
        })
    }
}

impl ExtProcSession {
    fn new(host: Arc<Host>, role: Role, gateway: &str) -> Self {
        let alarm = Arc::new(Alarm::default());
        let bell = Arc::clone(&alarm);
        let wake_up: WakeUp = Arc::new(move || bell.ring());
        let session = Session::new(host, role, gateway, wake_up);
        Self {
            inner: Mutex::new(Inner {
                session: Some(session),
                next: Next::Read,
            }),
            alarm,
        }
    }

    fn step(
        &self,
        step: impl FnOnce(&mut Session, &mut Vec<Bytes>) -> Result<Next, aigw_extproc::SessionError>,
    ) -> Result<Vec<Bytes>, Fault> {
        let mut inner = lock(&self.inner);
        let mut replies = Vec::new();
        if let Some(session) = inner.session.as_mut() {
            inner.next = step(session, &mut replies).map_err(Fault::Session)?;
        }
        Ok(replies)
    }
}

impl Alarm {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.bell.notify_all();
    }

    /// True when it rang within the time; the next call waits for the next ring.
    fn wait(&self, timeout: Duration) -> bool {
        let rung = lock(&self.rung);
        let waited = self
            .bell
            .wait_timeout_while(rung, timeout, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        let mut rung = waited.0;
        std::mem::take(&mut *rung)
    }
}

fn open(runtime_dir: &Path) -> Result<Arc<Host>, Fault> {
    let runtime = Runtime::shared(runtime_dir).map_err(Fault::Start)?;
    Ok(Host::new(runtime))
}

fn list<'py>(py: Python<'py>, replies: &[Bytes]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, replies.iter().map(|reply| PyBytes::new(py, reply)))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds.is_nan() {
        0.0
    } else {
        seconds.clamp(0.0, FOREVER)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
