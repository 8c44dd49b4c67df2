//! One client request across its filters, and each attempt's flow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aigw_core::credential_override::DynamicMetadata;
use aigw_core::endpoint::ClientApi;
use aigw_core::error::{Error, Reply};
use aigw_core::headers::{HeaderEdits, Headers};
use aigw_core::metadata::{ATTEMPTS, Metadata, Value};
use aigw_core::record::{AttemptRecord, Outcome, UsageRecord};
use aigw_core::redact;
use aigw_core::session::{
    Attempt, AttemptInput, BodyStep, Ended, HeadStep, LocalAnswer, Patience, PendingRequest,
    Prepared as CorePrepared, Request, ResponseHead, UpstreamRequest, on_head,
};
use bytes::Bytes;

use crate::inflight::{Client, Description, Slot};
use crate::{Runtime, Ticket, Wake, debug, unix_nanos, unix_seconds};

/// A request that was read, shared by its filters.
pub struct Exchange {
    runtime: Arc<Runtime>,
    request: Arc<Request>,
    body: Mutex<Option<Bytes>>,
    started: Instant,
    started_at: u64,
    slot: Option<Slot>,
    attempts: Mutex<Vec<AttemptRecord>>,
    /// The latest attempt.
    running: Mutex<Option<Arc<Mutex<Running>>>>,
}

/// What the request filter does after the body.
pub struct RequestParts {
    /// The exchange, to be put into the request table.
    pub exchange: Arc<Exchange>,
    /// Edits of the request header map.
    pub edits: HeaderEdits,
    /// Dynamic metadata.
    pub metadata: Metadata,
}

/// Outcome of [`Flow::prepare`].
pub enum Prepared {
    /// Send this.
    Done(UpstreamRequest),
    /// Call again after the wake-up call; keep the ticket until then.
    Wait(Ticket),
    /// Answer the client; no provider is asked.
    Answer(LocalAnswer),
}

impl Runtime {
    /// The head of a client request on `gateway`.
    pub fn request_head(&self, gateway: &str, head: Headers, ended: Ended) -> HeadStep {
        let config = self.config();
        match config.gateway(gateway) {
            Some(found) => on_head(&config, found, head, ended),
            None => HeadStep::Reply(Error::NotReady.reply(ClientApi::OpenAI)),
        }
    }

    /// The whole body of a client request.
    ///
    /// # Errors
    /// A reply in the client's shape.
    pub fn request_body(
        self: &Arc<Self>,
        pending: PendingRequest,
        body: &[u8],
    ) -> Result<RequestParts, Reply> {
        let started_at = unix_nanos();
        let id = fastrand::u128(1..);
        let (request, edits) = pending.on_body(id, body)?;
        let slot = self.inflight.open(id, started_at, request.model());
        if let Some(slot) = slot {
            let description = Description {
                operation: request.endpoint.operation(),
                gateway: "",
                client: Client {
                    identity: None,
                    attributes: &BTreeMap::new(),
                },
            };
            self.inflight.describe(slot, &description);
        }
        let metadata = request.metadata();
        let exchange = Arc::new(Exchange {
            runtime: Arc::clone(self),
            request: Arc::new(request),
            body: Mutex::new(None),
            started: Instant::now(),
            started_at,
            slot,
            attempts: Mutex::default(),
            running: Mutex::default(),
        });
        exchange.log_request(body);
        Ok(RequestParts {
            exchange,
            edits,
            metadata,
        })
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
        exchange.request.check_policy(policy)?;
        let api = exchange.client_api();
        // The config of the request comes first: its backends stay valid while it runs.
        let found = exchange.request.config.backend(backend).cloned();
        let Some(backend) = found.or_else(|| self.config().backend(backend).cloned()) else {
            return Err(Error::NotReady.reply(api));
        };
        if let Some(slot) = exchange.slot {
            let model = backend.effective_model(exchange.request.model());
            self.inflight.set_backend(slot, &backend.name, model);
        }
        let mut attempt = Attempt::bind(Arc::clone(&exchange.request), backend, unix_seconds())?;
        attempt.read_metadata(metadata);
        let number = {
            let mut attempts = lock(&exchange.attempts);
            attempts.push(attempt.record());
            attempts.len()
        };
        let running = Arc::new(Mutex::new(Running {
            attempt,
            number,
            unsaved: true,
        }));
        *lock(&exchange.running) = Some(Arc::clone(&running));
        Ok(Flow {
            exchange: Arc::clone(exchange),
            running,
        })
    }
}

impl Exchange {
    /// Random id, never sent as a header.
    pub fn id(&self) -> u128 {
        self.request.id
    }

    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The API that the client speaks.
    pub fn client_api(&self) -> ClientApi {
        self.request.endpoint.client_api()
    }

    /// Keeps the body for attempts, for hosts whose attempt filter does not see it.
    pub fn keep_body(&self, body: Bytes) {
        *lock(&self.body) = Some(body);
    }

    /// The kept body.
    pub fn body(&self) -> Bytes {
        lock(&self.body).clone().unwrap_or_default()
    }

    /// Drops the kept body once no further attempt is possible.
    pub fn drop_body(&self) {
        *lock(&self.body) = None;
    }

    /// The request is over: ends the latest attempt, unless its reply did. Returns the metadata
    /// that nobody took.
    pub fn end_attempt(&self, outcome: Outcome) -> Metadata {
        let Some(running) = lock(&self.running).take() else {
            return Metadata::new();
        };
        // After a panic in the middle of a step there is nothing to rely on.
        let Ok(mut running) = running.lock() else {
            return Metadata::new();
        };
        running.end(outcome, self);
        running.take_metadata(self)
    }

    /// Nanoseconds since the request was read.
    pub fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn log_request(&self, body: &[u8]) {
        debug::log(|| {
            let (request, body) = (&self.request, redact::body(body));
            format!(
                "event=request id={:032x} operation={} model={} stream={} headers={} body={body}",
                self.id(),
                request.endpoint.operation(),
                redact::name(request.model()),
                request.stream(),
                redact::headers(&request.head),
            )
        });
    }

    fn log_attempt(&self, backend: &str, upstream: &UpstreamRequest) {
        debug::log(|| {
            let body = upstream.body.as_deref().map(redact::body);
            let path = upstream.edits.value(":path").flatten();
            format!(
                "event=attempt id={:032x} backend={backend} path={} headers={} body={}",
                self.id(),
                redact::target(path.unwrap_or_default()),
                redact::edits(&upstream.edits),
                body.as_deref().unwrap_or("unchanged"),
            )
        });
    }

    fn log_response(&self, status: u16, headers: &Headers) {
        debug::log(|| {
            let headers = redact::headers(headers);
            format!(
                "event=response id={:032x} status={status} headers={headers}",
                self.id()
            )
        });
    }

    /// The usage record of the request, whose client got `status` (0: unknown).
    pub fn record(&self, status: u16, outcome: Outcome) -> UsageRecord {
        let attempts = lock(&self.attempts).clone();
        let last = attempts.last().cloned().unwrap_or_default();
        let backend = last.backend_name.clone();
        UsageRecord {
            id: format!("{:032x}", self.id()),
            started_at: self.started_at,
            first_output_ns: last.first_output_ns,
            duration_ns: self.elapsed_ns(),
            operation: self.request.endpoint.operation().to_owned(),
            route: route_of(&backend),
            requested_model: self.request.model().to_owned(),
            routed_model: last.routed_model.clone(),
            response_model: last.response_model.clone(),
            status,
            outcome,
            error_kind: last.error_kind.clone(),
            usage: last.usage,
            estimated: last.estimated,
            price: last.price,
            attempts,
            ..UsageRecord::default()
        }
    }
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
        let last = lock(&self.attempts).last().cloned().unwrap_or_default();
        let record = self.record(last.status, last.outcome);
        self.runtime.records.add(&record);
        if let Some(slot) = self.slot {
            self.runtime.inflight.close(slot);
        }
    }
}

/// One attempt as a host drives it.
pub struct Flow {
    exchange: Arc<Exchange>,
    running: Arc<Mutex<Running>>,
}

/// An attempt, shared with its exchange: hosts may learn of the end of a request first.
struct Running {
    attempt: Attempt,
    number: usize,
    /// The exchange's record of this attempt is older than the attempt.
    unsaved: bool,
}

impl Flow {
    /// The exchange.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// True when [`Self::prepare`] needs the client's body.
    pub fn needs_body(&self) -> bool {
        lock(&self.running).attempt.needs_body()
    }

    /// Whether bytes of the reply are rebuilt, so that a unary reply must be buffered.
    pub fn rebuilds_reply(&self) -> bool {
        lock(&self.running).attempt.rebuilds_reply()
    }

    /// Builds the provider's request; `wake` is called when a wait is over, from another
    /// thread. Pass the ticket of the wait back in when calling again.
    ///
    /// # Errors
    /// A reply in the client's shape.
    pub fn prepare(
        &mut self,
        body: &[u8],
        waited: Option<&Ticket>,
        wake: Wake,
    ) -> Result<Prepared, Reply> {
        self.prepare_with(body, waited, || wake)
    }

    /// As [`Self::prepare`]; the wake-up call is only made where there is a wait.
    ///
    /// # Errors
    /// A reply in the client's shape.
    pub fn prepare_with(
        &mut self,
        body: &[u8],
        waited: Option<&Ticket>,
        make_wake: impl FnOnce() -> Wake,
    ) -> Result<Prepared, Reply> {
        let runtime = Arc::clone(&self.exchange.runtime);
        let credentials = runtime.credentials();
        let patience = match waited {
            Some(ticket) if ticket.expired() => Patience::Exhausted,
            _ => Patience::MayWait,
        };
        let input = AttemptInput {
            body,
            credentials: &credentials,
            now: unix_seconds(),
            patience,
        };
        let prepared = lock(&self.running).prepare(&input, &self.exchange)?;
        match prepared {
            CorePrepared::Wait(wait_for) => Ok(Prepared::Wait(
                runtime.waits.register(wait_for, make_wake()),
            )),
            CorePrepared::Answer(answer) => Ok(Prepared::Answer(answer)),
            CorePrepared::Done(upstream) => Ok(Prepared::Done(upstream)),
        }
    }

    /// The head of the reply.
    pub fn response_head(&mut self, status: u16, headers: &Headers, ended: Ended) -> ResponseHead {
        self.exchange.log_response(status, headers);
        let mut running = lock(&self.running);
        let head = running.attempt.response_head(status, headers, ended);
        running.moved_on(ended, &self.exchange);
        head
    }

    /// The next bytes of the reply; `out` must be empty.
    pub fn response_body(&mut self, chunk: &[u8], ended: Ended, out: &mut Vec<u8>) -> BodyStep {
        let at = self.exchange.elapsed_ns();
        let mut running = lock(&self.running);
        let step = running.attempt.response_body(chunk, ended, at, out);
        running.moved_on(ended, &self.exchange);
        step
    }

    /// Metadata that changed since the last call.
    pub fn take_metadata(&mut self) -> Metadata {
        lock(&self.running).take_metadata(&self.exchange)
    }

    /// The stream of this attempt is over; `outcome` counts if the reply did not end.
    pub fn end(&mut self, outcome: Outcome) {
        lock(&self.running).end(outcome, &self.exchange);
    }
}

impl Running {
    fn prepare(
        &mut self,
        input: &AttemptInput<'_>,
        exchange: &Exchange,
    ) -> Result<CorePrepared, Reply> {
        #[expect(clippy::cast_precision_loss, reason = "a handful of attempts")]
        let attempts = (ATTEMPTS.into(), Value::Number(self.number as f64));
        let mut result = self.attempt.prepare(input);
        match &mut result {
            Ok(CorePrepared::Wait(_)) => {}
            Ok(CorePrepared::Done(upstream)) => {
                upstream.metadata.push(attempts);
                exchange.log_attempt(&self.attempt.backend().name, upstream);
            }
            Ok(CorePrepared::Answer(answer)) => {
                answer.metadata.push(attempts);
                self.save(exchange);
            }
            Err(_) => self.save(exchange),
        }
        result
    }

    fn moved_on(&mut self, ended: Ended, exchange: &Exchange) {
        self.unsaved = true;
        if ended == Ended::Yes {
            self.save(exchange);
        }
    }

    fn take_metadata(&mut self, exchange: &Exchange) -> Metadata {
        let metadata = self.attempt.take_metadata();
        if !metadata.is_empty() {
            self.share_usage(exchange);
        }
        metadata
    }

    fn end(&mut self, outcome: Outcome, exchange: &Exchange) {
        self.attempt.abort(outcome);
        if self.unsaved {
            self.save(exchange);
        }
    }

    /// Keeps the totals where they survive the process.
    fn share_usage(&self, exchange: &Exchange) {
        if let Some(slot) = exchange.slot {
            let inflight = &exchange.runtime.inflight;
            inflight.set_usage(slot, &self.attempt.usage());
        }
    }

    fn save(&mut self, exchange: &Exchange) {
        self.share_usage(exchange);
        if let Some(place) = lock(&exchange.attempts).get_mut(self.number - 1) {
            *place = self.attempt.record();
        }
        self.unsaved = false;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
