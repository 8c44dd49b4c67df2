//! One attempt as a host drives it.

use std::sync::{Arc, Mutex};

use aigw_core::error::Reply;
use aigw_core::headers::Headers;
use aigw_core::metadata::{ATTEMPTS, Metadata, Value};
use aigw_core::record::{AttemptRecord, Outcome};
use aigw_core::redact;
use aigw_core::session::{
    Attempt, AttemptInput, BodyPlan, BodyStep, Ended, LocalAnswer, Patience,
    Prepared as CorePrepared, ResponseHead, UpstreamRequest,
};

use crate::exchange::{Exchange, lock};
use crate::inflight::Completed;
use crate::metrics::Event;
use crate::{Ticket, Wake, debug, unix_seconds, wait};

/// Outcome of [`Flow::prepare`].
pub enum Prepared {
    /// Send this.
    Done(UpstreamRequest),
    /// Call again after the wake-up call; keep the ticket until then.
    Wait(Ticket),
    /// Answer the client; no provider is asked.
    Answer(LocalAnswer),
}

/// One attempt as a host drives it.
pub struct Flow {
    exchange: Arc<Exchange>,
    running: Arc<Mutex<Running>>,
}

/// An attempt, shared with its exchange: hosts may learn of the end of a request first.
pub(crate) struct Running {
    attempt: Attempt,
    number: usize,
    /// The exchange's record of this attempt is older than the attempt.
    unsaved: bool,
    started_ns: u64,
    head_ns: Option<u64>,
    /// The reply came to an end by itself.
    ended: bool,
    /// The gateway answered in place of the provider.
    refused: bool,
}

impl Flow {
    pub(crate) fn new(exchange: Arc<Exchange>, running: Arc<Mutex<Running>>) -> Self {
        Self { exchange, running }
    }

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

    /// The client asked for a stream.
    pub fn stream(&self) -> bool {
        lock(&self.running).attempt.request().stream()
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
            CorePrepared::Wait(wait_for) => {
                runtime.records.metrics.count(wait::event_of(&wait_for));
                let ticket = runtime.waits.register(wait_for, make_wake());
                Ok(Prepared::Wait(ticket))
            }
            CorePrepared::Answer(answer) => Ok(Prepared::Answer(answer)),
            CorePrepared::Done(upstream) => Ok(Prepared::Done(upstream)),
        }
    }

    /// The head of the reply.
    pub fn response_head(&mut self, status: u16, headers: &Headers, ended: Ended) -> ResponseHead {
        log_response(&self.exchange, status, headers);
        let at = self.exchange.elapsed_ns();
        let mut running = lock(&self.running);
        running.head_ns = Some(at);
        let head = running.attempt.response_head(status, headers, ended);
        // A reply that nobody follows has told all that it tells.
        let over = Ended::from(ended == Ended::Yes || head.body == BodyPlan::Skip);
        running.moved_on(over, &self.exchange);
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

    /// The stream of this attempt is over. A reply that did not end by now was cut off; whether
    /// by the client shows at the end of the exchange.
    pub fn end(&mut self) {
        lock(&self.running).end(&self.exchange);
    }
}

impl Running {
    pub(crate) fn new(attempt: Attempt, number: usize, started_ns: u64) -> Self {
        Self {
            attempt,
            number,
            unsaved: true,
            started_ns,
            head_ns: None,
            ended: false,
            refused: false,
        }
    }

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
                log_attempt(exchange, &self.attempt.backend().name, upstream);
            }
            Ok(CorePrepared::Answer(answer)) => {
                answer.metadata.push(attempts);
                exchange.note_reply(answer.reply.status, answer.reply.kind);
                self.ended = true;
                self.save(exchange);
            }
            Err(reply) => {
                exchange.note_reply(reply.status, reply.kind);
                (self.ended, self.refused) = (true, true);
                self.save(exchange);
            }
        }
        result
    }

    fn moved_on(&mut self, ended: Ended, exchange: &Exchange) {
        self.unsaved = true;
        if ended == Ended::Yes {
            self.ended = true;
            self.save(exchange);
        }
    }

    pub(crate) fn take_metadata(&mut self, exchange: &Exchange) -> Metadata {
        let metadata = self.attempt.take_metadata();
        if !metadata.is_empty() {
            self.share_usage(exchange);
        }
        for _ in 0..self.attempt.take_cost_errors() {
            exchange.runtime.records.metrics.count(Event::CostError);
        }
        metadata
    }

    pub(crate) fn end(&mut self, exchange: &Exchange) {
        self.attempt.abort(Outcome::Failed);
        if self.unsaved {
            self.save(exchange);
        }
    }

    /// Keeps the totals where they survive the process.
    fn share_usage(&self, exchange: &Exchange) {
        if let Some(slot) = exchange.slot() {
            let inflight = &exchange.runtime.inflight;
            inflight.set_usage(slot, &self.attempt.usage());
        }
    }

    fn save(&mut self, exchange: &Exchange) {
        self.share_usage(exchange);
        let record = self.record();
        let cut = !self.ended && record.outcome != Outcome::Completed;
        if let (Some(slot), Outcome::Completed) = (exchange.slot(), record.outcome) {
            let end = Completed {
                status: record.status,
                estimated: record.estimated,
                pico_usd: record.price.as_ref().map(|price| price.pico_usd),
            };
            exchange.runtime.inflight.set_completed(slot, &end);
        }
        exchange.save(self.number, record, cut);
        self.unsaved = false;
    }

    fn record(&self) -> AttemptRecord {
        let mut record = AttemptRecord {
            provider: self.attempt.backend().schema.name.provider().to_owned(),
            started_ns: self.started_ns,
            head_ns: self.head_ns,
            ..self.attempt.record()
        };
        if self.refused {
            record.outcome = Outcome::Rejected;
        }
        record
    }
}

fn log_attempt(exchange: &Exchange, backend: &str, upstream: &UpstreamRequest) {
    debug::log(|| {
        let body = upstream.body.as_deref().map(redact::body);
        let path = upstream.edits.value(":path").flatten();
        format!(
            "event=attempt id={:032x} backend={backend} path={} headers={} body={}",
            exchange.id(),
            redact::target(path.unwrap_or_default()),
            redact::edits(&upstream.edits),
            body.as_deref().unwrap_or("unchanged"),
        )
    });
}

fn log_response(exchange: &Exchange, status: u16, headers: &Headers) {
    debug::log(|| {
        let headers = redact::headers(headers);
        format!(
            "event=response id={:032x} status={status} headers={headers}",
            exchange.id()
        )
    });
}
