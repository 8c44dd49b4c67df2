//! The core itself, step by step and without a clock: golden tests and `explain` drive it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::error::Error;
use aigw_core::record::Outcome;
use aigw_core::session::{
    self, AttemptInput, Ended, HeadStep, Patience, PendingRequest, Prepared, Request, on_head,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{Fault, enter};
use crate::parts::{
    BodyStep, Edits, HeaderPairs, Reply, ResponseHead, Scalars, UpstreamRequest, edits, headers,
    metadata,
};

/// Request id of every exchange: replies that carry it are the same each time.
const ID: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;

/// One client request. `now` is in Unix seconds.
#[pyclass(frozen, module = "aigw._core")]
pub(crate) struct Exchange {
    config: Arc<Config>,
    credentials: Arc<Credentials>,
    gateway: String,
    now: u64,
    state: Mutex<State>,
}

enum State {
    Fresh,
    Pending(Box<PendingRequest>),
    Read(Arc<Request>),
    Over,
}

#[pymethods]
impl Exchange {
    #[new]
    #[pyo3(signature = (config, credentials, gateway, *, now = 0))]
    fn new(
        py: Python<'_>,
        config: &[u8],
        credentials: &[u8],
        gateway: String,
        now: u64,
    ) -> PyResult<Self> {
        enter(py, || {
            Ok(Self {
                config: Arc::new(Config::parse(config).map_err(Fault::Config)?),
                credentials: Arc::new(Credentials::parse(credentials).map_err(Fault::Config)?),
                gateway,
                now,
                state: Mutex::new(State::Fresh),
            })
        })
    }

    /// The head of a request with a body; a reply when the gateway answers at once.
    fn head(&self, py: Python<'_>, headers: HeaderPairs) -> PyResult<Option<Reply>> {
        enter(py, move || self.start(&headers, Ended::No))
    }

    /// The head of a request without a body.
    fn head_only(&self, py: Python<'_>, headers: HeaderPairs) -> PyResult<Option<Reply>> {
        enter(py, move || self.start(&headers, Ended::Yes))
    }

    /// The whole body; returns the edits of the request headers and the dynamic metadata.
    fn body(&self, py: Python<'_>, body: &[u8]) -> PyResult<(Edits, Scalars)> {
        enter(py, || {
            let mut state = lock(&self.state);
            let State::Pending(pending) = std::mem::replace(&mut *state, State::Over) else {
                return Err(Fault::Order("body() follows head()"));
            };
            let (request, changes) = pending.on_body(ID, body).map_err(Fault::Rejected)?;
            let found = metadata(request.metadata());
            *state = State::Read(Arc::new(request));
            Ok((edits(&changes), found))
        })
    }

    /// The model that the client asked for.
    #[getter]
    fn model(&self, py: Python<'_>) -> PyResult<String> {
        enter(py, || {
            self.request().map(|request| request.model().to_owned())
        })
    }

    /// Whether the client asked for a stream.
    #[getter]
    fn stream(&self, py: Python<'_>) -> PyResult<bool> {
        enter(py, || self.request().map(|request| request.stream()))
    }

    /// Starts an attempt at the backend with this id.
    fn attempt(&self, py: Python<'_>, backend: &str) -> PyResult<Attempt> {
        enter(py, || {
            let request = self.request()?;
            let Some(found) = self.config.backend(backend).cloned() else {
                let reply = Error::NotReady.reply(request.endpoint.client_api());
                return Err(Fault::Rejected(reply));
            };
            let attempt = session::Attempt::bind(request, found, self.now);
            Ok(Attempt {
                inner: Mutex::new(attempt.map_err(Fault::Rejected)?),
                credentials: Arc::clone(&self.credentials),
                now: self.now,
            })
        })
    }
}

impl Exchange {
    fn start(&self, pairs: &[(String, Vec<u8>)], ended: Ended) -> Result<Option<Reply>, Fault> {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Fresh) {
            return Err(Fault::Order("head() comes first and once"));
        }
        let Some(gateway) = self.config.gateway(&self.gateway) else {
            return Err(Fault::Config(format!("no gateway {}", self.gateway)));
        };
        match on_head(&self.config, gateway, headers(pairs), ended) {
            HeadStep::Reply(reply) => {
                *state = State::Over;
                Ok(Some(reply.into()))
            }
            HeadStep::Body(pending) => {
                *state = State::Pending(pending);
                Ok(None)
            }
        }
    }

    fn request(&self) -> Result<Arc<Request>, Fault> {
        match &*lock(&self.state) {
            State::Read(request) => Ok(Arc::clone(request)),
            State::Fresh | State::Pending(_) | State::Over => {
                Err(Fault::Order("body() comes first"))
            }
        }
    }
}

/// One try at one backend.
#[pyclass(frozen, module = "aigw._core")]
pub(crate) struct Attempt {
    inner: Mutex<session::Attempt>,
    credentials: Arc<Credentials>,
    now: u64,
}

#[pymethods]
impl Attempt {
    /// Whether `prepare` reads the client's body.
    #[getter]
    fn needs_body(&self) -> bool {
        lock(&self.inner).needs_body()
    }

    /// Whether the reply is rebuilt rather than watched.
    #[getter]
    fn rebuilds_reply(&self) -> bool {
        lock(&self.inner).rebuilds_reply()
    }

    /// The provider's request. A missing credential is an error: nothing is waited for.
    fn prepare(&self, py: Python<'_>, body: &[u8]) -> PyResult<UpstreamRequest> {
        enter(py, || {
            let input = AttemptInput {
                body,
                credentials: &self.credentials,
                now: self.now,
                patience: Patience::Exhausted,
            };
            match lock(&self.inner).prepare(&input) {
                Ok(Prepared::Done(upstream)) => Ok(upstream.into()),
                Ok(Prepared::Answer(answer)) => Err(Fault::Rejected(answer.reply)),
                Ok(Prepared::Wait(_)) => Err(Fault::Order("nothing can be waited for")),
                Err(reply) => Err(Fault::Rejected(reply)),
            }
        })
    }

    /// The head of a reply with a body.
    fn response_head(
        &self,
        py: Python<'_>,
        status: u16,
        pairs: HeaderPairs,
    ) -> PyResult<ResponseHead> {
        enter(py, move || Ok(self.answer(status, &pairs, Ended::No)))
    }

    /// The head of a reply without a body.
    fn response_head_only(
        &self,
        py: Python<'_>,
        status: u16,
        pairs: HeaderPairs,
    ) -> PyResult<ResponseHead> {
        enter(py, move || Ok(self.answer(status, &pairs, Ended::Yes)))
    }

    /// The next bytes of the reply; `at_ns` counts from the start of the request.
    #[pyo3(signature = (chunk, *, at_ns = 0))]
    fn response_body(&self, py: Python<'_>, chunk: &[u8], at_ns: u64) -> PyResult<BodyStep> {
        enter(py, || Ok(self.feed(chunk, Ended::No, at_ns)))
    }

    /// The last bytes of the reply, which may be none.
    #[pyo3(signature = (chunk, *, at_ns = 0))]
    fn response_end(&self, py: Python<'_>, chunk: &[u8], at_ns: u64) -> PyResult<BodyStep> {
        enter(py, || Ok(self.feed(chunk, Ended::Yes, at_ns)))
    }

    /// The reply broke off.
    fn abort(&self) {
        lock(&self.inner).abort(Outcome::Aborted);
    }

    /// Metadata that changed since the last call.
    fn take_metadata(&self) -> Scalars {
        metadata(lock(&self.inner).take_metadata())
    }

    /// Entry, source and rates of the price that applies so far; `None` where none is known.
    fn price_entry(&self) -> Option<(String, String, String)> {
        let found = lock(&self.inner).price_entry()?;
        let rates = found.rates.to_string();
        Some((found.entry, found.source.to_string(), rates))
    }

    /// What is known of the attempt so far, as JSON.
    fn record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let json = enter(py, || {
            serde_json::to_vec(&lock(&self.inner).record()).map_err(|_| Fault::Panicked)
        })?;
        Ok(PyBytes::new(py, &json))
    }
}

impl Attempt {
    fn answer(&self, status: u16, pairs: &[(String, Vec<u8>)], ended: Ended) -> ResponseHead {
        lock(&self.inner)
            .response_head(status, &headers(pairs), ended)
            .into()
    }

    fn feed(&self, chunk: &[u8], ended: Ended, at_ns: u64) -> BodyStep {
        let mut output = Vec::new();
        let step = lock(&self.inner).response_body(chunk, ended, at_ns, &mut output);
        BodyStep::new(&step, output)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
