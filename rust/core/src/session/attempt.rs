//! The request side of one attempt: a fresh translation, credential and signature.

use std::sync::Arc;

use super::Request;
use super::request::MODEL_HEADER;
use super::response::ReplySide;
use crate::auth::{self, Signable};
use crate::config::Backend;
use crate::cost::RunningCosts;
use crate::credential::Credentials;
use crate::credential_override::{DynamicMetadata, Given};
use crate::error::{Error, Reply, Result};
use crate::estimate::CountJob;
use crate::headers::HeaderEdits;
use crate::metadata::{
    AI_SERVICE_BACKEND_NAME, BACKEND_NAME, MODEL_NAME_OVERRIDE, Metadata, ROUTE_NAME, Value,
};
use crate::record::AttemptRecord;
use crate::registry;
use crate::scan::Signatures;
use crate::translate::{Answer, Binding, Exchange, LocalReply, ReplyBytes, Upstream};
use crate::usage::Usage;

/// One try at one backend.
pub struct Attempt {
    pub(super) request: Arc<Request>,
    pub(super) backend: Arc<Backend>,
    pub(super) exchange: Box<dyn Exchange>,
    pub(super) reply: ReplySide,
    pub(super) costs: RunningCosts,
    given: Given,
    pub(super) started: Times,
}

#[derive(Clone, Copy)]
pub(super) struct Times {
    /// Unix seconds.
    pub(super) now: u64,
}

/// What [`Attempt::prepare`] needs from outside.
pub struct AttemptInput<'a> {
    /// The client's body; may be empty when [`Attempt::needs_body`] is false.
    pub body: &'a [u8],
    /// Credentials in force.
    pub credentials: &'a Credentials,
    /// Unix seconds.
    pub now: u64,
    /// Whether the attempt may still wait.
    pub patience: Patience,
}

/// Whether an attempt may wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// [`Prepared::Wait`] is a possible answer.
    MayWait,
    /// The deadline has passed: done or an error.
    Exhausted,
}

/// Outcome of [`Attempt::prepare`].
#[derive(Debug)]
pub enum Prepared {
    /// Send this.
    Done(UpstreamRequest),
    /// Call again when this is there, or with [`Patience::Exhausted`] after the deadline.
    Wait(WaitFor),
    /// Answer the client: no provider is asked.
    Answer(LocalAnswer),
}

/// What an attempt waits for.
#[derive(Clone, Debug)]
pub enum WaitFor {
    /// A usable credential of this name.
    Credential {
        /// `<ns>/<policy>`.
        name: String,
        /// Longest wait in milliseconds.
        timeout_ms: u64,
    },
    /// A count, made by [`CountJob::run`] on another thread.
    Count(Arc<CountJob>),
}

/// The gateway's own answer.
#[derive(Debug)]
pub struct LocalAnswer {
    /// What the client gets.
    pub reply: Reply,
    /// Dynamic metadata.
    pub metadata: Metadata,
}

/// Changes of the shared header map and body for this attempt.
#[derive(Debug)]
pub struct UpstreamRequest {
    /// Header edits; `content-length` is among them when the body is replaced.
    pub edits: HeaderEdits,
    /// New body; `None` leaves the client's.
    pub body: Option<Vec<u8>>,
    /// Dynamic metadata.
    pub metadata: Metadata,
}

impl Attempt {
    /// Starts an attempt. `now` is in Unix seconds.
    ///
    /// # Errors
    /// A 422 when the backend's schema cannot serve the endpoint.
    pub fn bind(
        request: Arc<Request>,
        backend: Arc<Backend>,
        now: u64,
    ) -> std::result::Result<Self, Reply> {
        let Some(entry) = registry::find(request.endpoint, &backend.schema) else {
            let error = Error::UnsupportedSchema {
                backend: backend.backend.clone(),
                schema: backend.schema.name.name(),
                endpoint: request.endpoint.path(),
            };
            return Err(error.reply(request.endpoint.client_api()));
        };
        let exchange = (entry.make)(&binding(&request, &backend, now));
        let reply = ReplySide::new(&request, backend.effective_model(request.model()));
        let given = Given::in_headers(backend.auth.as_ref(), &request.given);
        Ok(Self {
            request,
            backend,
            exchange,
            reply,
            costs: RunningCosts::default(),
            given,
            started: Times { now },
        })
    }

    /// Reads a credential that dynamic metadata holds. Before [`Self::prepare`]; without this call
    /// there is none.
    pub fn read_metadata(&mut self, metadata: &dyn DynamicMetadata) {
        if let Some(given) = Given::in_metadata(self.backend.auth.as_ref(), metadata) {
            self.given = given;
        }
    }

    /// The request.
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// True when [`Self::prepare`] reads the client's body: translation, splice, signature.
    pub fn needs_body(&self) -> bool {
        self.exchange.rewrites()
            || self.request.model() != self.backend.effective_model(self.request.model())
            || (self.backend.force_usage
                && self.request.stream()
                && !self.request.scan.include_usage)
            || !self.request.scan.repeated.is_empty()
            || self.request.scan.signatures == Signatures::SomeEmpty
            || !self.backend.body_mutation.is_empty()
            || self.backend.auth.as_ref().is_some_and(auth::covers_body)
    }

    /// True when the reply is rebuilt rather than watched.
    pub fn rebuilds_reply(&self) -> bool {
        self.exchange.reply_bytes() == ReplyBytes::Rebuilt
    }

    /// Builds the provider's request. Pure but for the note of touched header names, which the
    /// next attempt restores; may be called again after a wait.
    ///
    /// # Errors
    /// A reply in the client's shape.
    pub fn prepare(&mut self, input: &AttemptInput<'_>) -> std::result::Result<Prepared, Reply> {
        let api = self.request.endpoint.client_api();
        self.try_prepare(input).map_err(|error| {
            error
                .row()
                .kind
                .clone_into(&mut self.reply.record.error_kind);
            error.reply(api)
        })
    }

    fn try_prepare(&mut self, input: &AttemptInput<'_>) -> Result<Prepared> {
        if let Some(answer) = self.exchange.answer(input.body) {
            return self.answer(answer?, input);
        }
        let credential = match self.backend.auth.as_ref() {
            None => None,
            Some(auth) => {
                let given = &self.given;
                match given.or_configured(auth, input.credentials, input.now)? {
                    Some(credential) => Some((auth, credential)),
                    None => return self.no_credential(&auth.credential, input.patience),
                }
            }
        };
        let binding = binding(&self.request, &self.backend, self.started.now);
        let upstream = self
            .exchange
            .request(&binding, &self.request.scan, input.body)?;
        self.reply.dropped(&upstream.dropped);
        let mut edits = self.base_edits(&upstream);
        let body = self.mutate(upstream.body, input.body, &mut edits);
        if let Some((auth, credential)) = credential {
            let signable = Signable {
                backend: &self.backend,
                auth,
                path: &upstream.path,
                body: body.as_deref().unwrap_or(input.body),
                now: input.now,
            };
            auth::apply(&signable, credential, &mut edits)?;
        }
        self.note_touched(&edits);
        Ok(Prepared::Done(UpstreamRequest {
            edits,
            body,
            metadata: self.metadata(),
        }))
    }

    fn answer(&mut self, answer: Answer, input: &AttemptInput<'_>) -> Result<Prepared> {
        match answer {
            Answer::Reply(reply) => Ok(self.answered(reply)),
            Answer::Later(job) if input.patience == Patience::MayWait => {
                Ok(Prepared::Wait(WaitFor::Count(job)))
            }
            Answer::Later(job) => {
                job.give_up();
                match self.exchange.answer(input.body) {
                    Some(Ok(Answer::Reply(reply))) => Ok(self.answered(reply)),
                    Some(Err(error)) => Err(error),
                    Some(Ok(Answer::Later(_))) | None => Err(Error::Internal(
                        "a count was given up and is not there".into(),
                    )),
                }
            }
        }
    }

    fn answered(&mut self, reply: LocalReply) -> Prepared {
        self.reply.answered();
        Prepared::Answer(LocalAnswer {
            reply: Reply {
                status: 200,
                headers: reply.headers,
                body: reply.body,
                kind: "local_answer",
            },
            metadata: self.metadata(),
        })
    }

    fn no_credential(&self, name: &str, patience: Patience) -> Result<Prepared> {
        match patience {
            Patience::MayWait => Ok(Prepared::Wait(WaitFor::Credential {
                name: name.to_owned(),
                timeout_ms: self.request.config.credential_wait_ms,
            })),
            Patience::Exhausted => Err(Error::CredentialUnavailable {
                backend: self.backend.backend.clone(),
            }),
        }
    }

    /// Restores what earlier attempts touched, then the translator's headers.
    fn base_edits(&self, upstream: &Upstream) -> HeaderEdits {
        let mut edits = HeaderEdits::new();
        for name in lock(&self.request.touched).iter() {
            restore(&self.request, name, &mut edits);
        }
        if self.backend.auth.is_none() {
            // Nothing is configured: the client's key is meant for this provider.
            for (name, value) in self.request.client_credentials.iter() {
                if let Ok(name) = std::str::from_utf8(name) {
                    edits.set(name, value);
                }
            }
        }
        // Routing is over: the provider has no use for the gateway's own header.
        edits.remove(MODEL_HEADER);
        edits.set(":path", upstream.path.as_bytes());
        for (name, value) in &upstream.headers {
            edits.set(name, value.as_bytes());
        }
        for (name, value) in &upstream.default_headers {
            if self.request.head.get(name).is_none() {
                edits.set(name, value.as_bytes());
            }
        }
        if self.exchange.reply_bytes() == ReplyBytes::Rebuilt || self.request.stream() {
            // A compressed reply would only be unpacked here, and compression delays events.
            edits.set("accept-encoding", "identity");
        }
        edits
    }

    /// The user's header and body mutations, and the length of a new body.
    fn mutate(
        &self,
        body: Option<Vec<u8>>,
        original: &[u8],
        edits: &mut HeaderEdits,
    ) -> Option<Vec<u8>> {
        self.backend
            .header_mutation
            .apply(&self.request.head, edits);
        let mutation = &self.backend.body_mutation;
        // Members are set in JSON only.
        let body = if mutation.is_empty() || self.request.scan.form_lines.is_some() {
            body
        } else {
            mutation.apply(body.as_deref().unwrap_or(original)).or(body)
        };
        if let Some(body) = &body {
            edits.set("content-length", body.len().to_string());
        } else if self.request.head.get("content-length").is_none() {
            // The client sent chunks; the whole body is known by now, and some providers
            // refuse requests without a length.
            edits.set("content-length", self.request.scan.length.to_string());
        }
        if self.request.head.get("transfer-encoding").is_some() {
            edits.remove("transfer-encoding");
        }
        body
    }

    fn note_touched(&self, edits: &HeaderEdits) {
        let mut touched = lock(&self.request.touched);
        for name in edits.names() {
            if !touched.iter().any(|known| known.as_ref() == name) {
                touched.push(name.into());
            }
        }
    }

    fn metadata(&self) -> Metadata {
        let model = self.backend.effective_model(self.request.model());
        vec![
            (BACKEND_NAME.into(), Value::Text(self.backend.name.clone())),
            (
                AI_SERVICE_BACKEND_NAME.into(),
                Value::Text(self.backend.backend.clone()),
            ),
            (ROUTE_NAME.into(), Value::Text(self.backend.route.clone())),
            (MODEL_NAME_OVERRIDE.into(), Value::Text(model.to_owned())),
        ]
    }

    /// Totals that the provider has reported so far.
    pub fn usage(&self) -> Usage {
        self.reply.usage()
    }

    /// What is known of this attempt so far.
    pub fn record(&self) -> AttemptRecord {
        let model = self.backend.effective_model(self.request.model());
        AttemptRecord {
            backend_name: self.backend.name.clone(),
            routed_model: model.to_owned(),
            price: self.price(),
            costs: self.costs_so_far(),
            ..self.reply.record()
        }
    }
}

/// Puts a header back to what the client sent.
fn restore(request: &Request, name: &str, edits: &mut HeaderEdits) {
    let mut values = request.head.get_all(name);
    match values.next() {
        Some(first) => edits.set(name, first),
        None => edits.remove(name),
    }
    for value in values {
        edits.append(name, value);
    }
}

fn binding<'a>(request: &'a Request, backend: &'a Backend, now: u64) -> Binding<'a> {
    Binding {
        backend,
        model: backend.effective_model(request.model()),
        requested_model: request.model(),
        stream: request.stream(),
        now,
        request_id: request.id,
        head: &request.head,
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
