//! One client request across its filters, from its head to its record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use aigw_core::config::{Backend, Gateway};
use aigw_core::credential_override::DynamicMetadata;
use aigw_core::endpoint::{ClientApi, Endpoint};
use aigw_core::error::{Error, Reply};
use aigw_core::headers::{HeaderEdits, Headers};
use aigw_core::metadata::{Metadata, REQUEST_ID, Value};
use aigw_core::record::{AttemptRecord, Outcome, UsageRecord};
use aigw_core::redact;
use aigw_core::session::{Attempt, Ended, HeadStep, PendingRequest, Request, on_head};
use bytes::Bytes;

use crate::end::{End, Last, OwnReply, judge};
use crate::flow::{Flow, Running};
use crate::inflight::{Client, Description, Slot};
use crate::metrics::Event;
use crate::{Runtime, debug, unix_nanos, unix_seconds};

/// A request from its head to its end, shared by its filters. Whatever becomes of it, it adds one
/// usage record: when its host says that it is over, or when it is dropped.
pub struct Exchange {
    pub(crate) runtime: Arc<Runtime>,
    id: u128,
    started: Instant,
    started_at: u64,
    origin: Origin,
    /// `None` where the path is none of ours.
    endpoint: Option<Endpoint>,
    attributes: BTreeMap<String, String>,
    identity: Option<String>,
    /// Once the body was read.
    request: OnceLock<Arc<Request>>,
    state: Mutex<State>,
    /// The latest attempt.
    running: Mutex<Option<Arc<Mutex<Running>>>>,
}

/// The gateway that the client asked.
enum Origin {
    Known(Arc<Gateway>),
    /// Not in the config.
    Named(Box<str>),
}

/// What changes while a request runs.
#[derive(Default)]
struct State {
    body: Option<Bytes>,
    /// Size of the client's body once it was read.
    request_bytes: u64,
    slot: Option<Slot>,
    own_reply: Option<OwnReply>,
    first_byte_ns: Option<u64>,
    attempts: Vec<AttemptRecord>,
    /// Of the last attempt.
    backend: Option<Arc<Backend>>,
    /// The reply of the last attempt did not come to an end by itself.
    cut: bool,
    finished: bool,
}

/// A request that began.
pub struct Begun {
    /// The exchange.
    pub exchange: Arc<Exchange>,
    /// What its head leads to.
    pub step: HeadStep,
}

/// What the request filter does after the body.
pub struct RequestParts {
    /// Edits of the request header map.
    pub edits: HeaderEdits,
    /// Dynamic metadata.
    pub metadata: Metadata,
}

impl Runtime {
    /// The head of a client request on `gateway`, which came in by a route with a security policy
    /// (empty: none).
    pub fn begin(
        self: &Arc<Self>,
        gateway: &str,
        policy: &str,
        head: Headers,
        ended: Ended,
    ) -> Begun {
        let config = self.config();
        let mut exchange = Exchange::new(Arc::clone(self), gateway);
        let step = match config.gateway(gateway) {
            None => HeadStep::Reply(Error::NotReady.reply(ClientApi::OpenAI)),
            Some(found) => {
                exchange.origin = Origin::Known(Arc::clone(found));
                exchange.endpoint = head.get(":path").and_then(|path| found.paths.lookup(path));
                exchange.attributes = config.attributes.of(&head);
                exchange.identity = found.identity.of(policy, &head);
                on_head(&config, found, head, ended)
            }
        };
        let step = match step {
            HeadStep::Reply(reply) => HeadStep::Reply(exchange.answered(reply)),
            HeadStep::Body(mut pending) => {
                pending.admitted_by(policy);
                HeadStep::Body(pending)
            }
        };
        let exchange = Arc::new(exchange);
        Begun { exchange, step }
    }

    /// Starts an attempt of an exchange at a backend, on a route with a security policy (empty:
    /// none); `metadata` is read now and not later.
    ///
    /// # Errors
    /// 403 when another policy let the request in, 503 when the backend is not known (yet), 422
    /// when it cannot serve the endpoint.
    pub fn attempt(
        &self,
        exchange: &Arc<Exchange>,
        backend: &str,
        policy: &str,
        metadata: &dyn DynamicMetadata,
    ) -> Result<Flow, Reply> {
        self.bind(exchange, backend, policy, metadata)
            .map_err(|reply| exchange.answered(reply))
    }

    fn bind(
        &self,
        exchange: &Arc<Exchange>,
        backend: &str,
        policy: &str,
        metadata: &dyn DynamicMetadata,
    ) -> Result<Flow, Reply> {
        let Some(request) = exchange.request.get() else {
            return Err(Error::NotReady.reply(exchange.client_api()));
        };
        request.check_policy(policy)?;
        // The config of the request comes first: its backends stay valid while it runs.
        let found = request.config.backend(backend).cloned();
        let Some(backend) = found.or_else(|| self.config().backend(backend).cloned()) else {
            return Err(Error::NotReady.reply(exchange.client_api()));
        };
        let slot = exchange.lock().slot;
        if let Some(slot) = slot {
            let model = backend.effective_model(request.model());
            self.inflight.set_backend(slot, &backend.name, model);
        }
        let mut attempt = Attempt::bind(Arc::clone(request), backend, unix_seconds())?;
        attempt.read_metadata(metadata);
        let number = {
            let mut state = exchange.lock();
            state.attempts.push(AttemptRecord::default());
            state.backend = Some(Arc::clone(attempt.backend()));
            state.cut = true;
            state.attempts.len()
        };
        let running = Running::new(attempt, number, exchange.elapsed_ns());
        let running = Arc::new(Mutex::new(running));
        *lock(&exchange.running) = Some(Arc::clone(&running));
        Ok(Flow::new(Arc::clone(exchange), running))
    }
}

impl Exchange {
    fn new(runtime: Arc<Runtime>, gateway: &str) -> Self {
        runtime.records.metrics.began();
        Self {
            runtime,
            id: fastrand::u128(1..),
            started: Instant::now(),
            started_at: unix_nanos(),
            origin: Origin::Named(gateway.into()),
            endpoint: None,
            attributes: BTreeMap::new(),
            identity: None,
            request: OnceLock::new(),
            state: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Random id, never sent as a header.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The id as dynamic metadata, for requests that are not read yet.
    pub fn id_metadata(&self) -> Metadata {
        vec![(REQUEST_ID.into(), Value::Text(format!("{:032x}", self.id)))]
    }

    /// The API that the client speaks.
    pub fn client_api(&self) -> ClientApi {
        self.endpoint
            .map_or(ClientApi::OpenAI, Endpoint::client_api)
    }

    /// The whole body of the client.
    ///
    /// # Errors
    /// A reply in the client's shape.
    pub fn read(&self, pending: PendingRequest, body: &[u8]) -> Result<RequestParts, Reply> {
        self.lock().request_bytes = body.len() as u64;
        let (request, edits) = pending
            .on_body(self.id, body)
            .map_err(|reply| self.answered(reply))?;
        let inflight = &self.runtime.inflight;
        let slot = inflight.open(self.id, self.started_at, request.model());
        match slot {
            Some(slot) => inflight.describe(slot, &self.description(&request)),
            None => self.runtime.records.metrics.count(Event::InFlightLost),
        }
        self.lock().slot = slot;
        let metadata = request.metadata();
        self.log_request(&request, body);
        // A second body would be a fault of the host; the first one stays.
        let _ = self.request.set(Arc::new(request));
        Ok(RequestParts { edits, metadata })
    }

    fn description<'a>(&'a self, request: &Request) -> Description<'a> {
        Description {
            operation: request.endpoint.operation(),
            gateway: match &self.origin {
                Origin::Known(gateway) => &gateway.name,
                Origin::Named(name) => name,
            },
            client: Client {
                identity: self.identity.as_deref(),
                attributes: &self.attributes,
            },
        }
    }

    /// Notes that the gateway answers this request itself.
    pub fn answered(&self, reply: Reply) -> Reply {
        self.note_reply(reply.status, reply.kind);
        reply
    }

    /// As [`Self::answered`]; the first reply is the one that counts.
    pub fn note_reply(&self, status: u16, kind: &'static str) {
        let mut state = self.lock();
        state.own_reply.get_or_insert(OwnReply { status, kind });
    }

    /// Keeps the body for attempts, for hosts whose attempt filter does not see it.
    pub fn keep_body(&self, body: Bytes) {
        self.lock().body = Some(body);
    }

    /// The kept body.
    pub fn body(&self) -> Bytes {
        self.lock().body.clone().unwrap_or_default()
    }

    /// The request table has no room for it.
    pub(crate) fn refused(&self) {
        self.runtime.records.metrics.count(Event::RequestRefused);
    }

    /// Drops the kept body once no further attempt is possible.
    pub fn drop_body(&self) {
        self.lock().body = None;
    }

    /// The head of a reply goes to the client.
    pub fn reply_begins(&self) {
        let now = self.elapsed_ns();
        self.lock().first_byte_ns.get_or_insert(now);
    }

    /// Nanoseconds since the request began.
    pub fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// True once the record is written.
    pub fn is_finished(&self) -> bool {
        self.lock().finished
    }

    /// The request is over: ends the latest attempt, unless its reply did, and adds the record.
    /// `None`: the host cannot say how it ended. Returns the metadata that nobody took; later
    /// calls do nothing.
    pub fn finish(&self, end: Option<&End>) -> Metadata {
        if std::mem::replace(&mut self.lock().finished, true) {
            return Metadata::new();
        }
        let metadata = self.end_attempt();
        let record = self.record(end);
        self.runtime.records.add(&record);
        self.runtime.records.metrics.ended();
        let slot = self.lock().slot.take();
        if let Some(slot) = slot {
            self.runtime.inflight.close(slot);
        }
        metadata
    }

    fn end_attempt(&self) -> Metadata {
        let Some(running) = lock(&self.running).take() else {
            return Metadata::new();
        };
        // After a panic in the middle of a step there is nothing to rely on.
        let Ok(mut running) = running.lock() else {
            return Metadata::new();
        };
        running.end(self);
        running.take_metadata(self)
    }

    /// Where the totals of this request survive the process.
    pub(crate) fn slot(&self) -> Option<Slot> {
        self.lock().slot
    }

    /// Takes in what is known of an attempt; `cut` tells that its reply did not end by itself.
    pub(crate) fn save(&self, number: usize, record: AttemptRecord, cut: bool) {
        let mut state = self.lock();
        if state.attempts.len() == number {
            state.cut = cut;
        }
        if let Some(place) = state.attempts.get_mut(number - 1) {
            *place = record;
        }
    }

    /// Builds the record; its attempts are taken.
    fn record(&self, end: Option<&End>) -> UsageRecord {
        let mut state = self.lock();
        let mut attempts = std::mem::take(&mut state.attempts);
        let cut = state.cut;
        let last = attempts.last().map(|record| Last { record, cut });
        let verdict = judge(state.own_reply, last, end);
        if let Some(last) = attempts.last_mut()
            && cut
        {
            if verdict.outcome == Outcome::Aborted {
                last.outcome = Outcome::Aborted;
            }
            if last.error_kind.is_empty() {
                last.error_kind.clone_from(&verdict.error_kind);
            }
        }
        let since = |at: u64| at.saturating_sub(self.started_at);
        let told = end.and_then(|end| end.first_byte_at).map(since);
        let ended = end.and_then(|end| end.ended_at).map(since);
        let known = self.request.get();
        let mut record = UsageRecord {
            id: format!("{:032x}", self.id),
            started_at: self.started_at,
            first_byte_ns: told.or(state.first_byte_ns),
            duration_ns: ended.unwrap_or_else(|| self.elapsed_ns()),
            gateway: self.origin.name().to_owned(),
            operation: self.operation().to_owned(),
            stream: known.is_some_and(|request| request.stream()),
            attributes: self.attributes.clone(),
            identity: self.identity.clone(),
            requested_model: known.map_or("", |request| request.model()).to_owned(),
            status: verdict.status,
            outcome: verdict.outcome,
            error_kind: verdict.error_kind,
            request_bytes: state.request_bytes,
            response_bytes: end.map_or(0, |end| end.response_bytes),
            ..UsageRecord::default()
        };
        if let (Some(last), Some(backend)) = (attempts.last(), &state.backend) {
            serve(&mut record, last, backend);
        }
        record.attempts = attempts;
        record
    }

    fn operation(&self) -> &'static str {
        self.endpoint.map_or("", Endpoint::operation)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn log_request(&self, request: &Request, body: &[u8]) {
        debug::log(|| {
            let body = redact::body(body);
            format!(
                "event=request id={:032x} operation={} model={} stream={} headers={} body={body}",
                self.id,
                request.endpoint.operation(),
                redact::name(request.model()),
                request.stream(),
                redact::headers(&request.head),
            )
        });
    }
}

impl Origin {
    fn name(&self) -> &str {
        match self {
            Self::Known(gateway) => &gateway.name,
            Self::Named(name) => name,
        }
    }
}

/// Fills in what the last attempt says about the whole request.
fn serve(record: &mut UsageRecord, last: &AttemptRecord, backend: &Backend) {
    record.route.clone_from(&backend.route);
    record.rule = rule_of(&backend.name);
    record.backend.clone_from(&backend.backend);
    record.first_output_ns = last.first_output_ns;
    record.routed_model.clone_from(&last.routed_model);
    record.response_model.clone_from(&last.response_model);
    record.usage = last.usage;
    record.estimated = last.estimated;
    record.price.clone_from(&last.price);
    record.costs.clone_from(&last.costs);
}

/// The index in `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
fn rule_of(backend_name: &str) -> Option<u32> {
    backend_name.split('/').nth(5)?.parse().ok()
}

/// `<ns>/<route>` of a backend name `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
pub(crate) fn route_of(backend_name: &str) -> String {
    let mut parts = backend_name.split('/');
    match (parts.next(), parts.nth(2)) {
        (Some(namespace), Some(route)) => format!("{namespace}/{route}"),
        _ => String::new(),
    }
}

/// `<ns>/<backend>` of the same.
pub(crate) fn backend_of(backend_name: &str) -> String {
    let mut parts = backend_name.split('/');
    match (parts.next(), parts.next()) {
        (Some(namespace), Some(backend)) => format!("{namespace}/{backend}"),
        _ => String::new(),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish(None);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
