//! Pairs that the gateway answers itself: `/tokenize` where the provider has no counter.

use std::sync::Arc;

use super::{Binding, Exchange, ProviderError, ReplyBytes, Upstream};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::estimate::{CountJob, TokenCount};
use crate::framing::Framing;
use crate::headers::Headers;
use crate::scan::Scan;
use crate::schema::ApiSchema;

/// A pair whose reply is a count of ours.
pub(crate) trait Local: Send + Sized + 'static {
    /// Client side of the pair.
    const ENDPOINT: Endpoint;
    /// The backend that is not asked.
    const SCHEMA: ApiSchema;

    /// Starts an attempt.
    fn bind(binding: &Binding<'_>) -> Self;

    /// What is to be counted.
    ///
    /// # Errors
    /// [`Error::MalformedRequest`] when the body cannot be read.
    fn job(&mut self, body: &[u8]) -> Result<CountJob>;

    /// The reply with the count.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written.
    fn reply(&self, count: &TokenCount) -> Result<LocalReply>;
}

/// A 200 of the gateway's own.
pub(crate) struct LocalReply {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What becomes of a request that is not sent on.
pub(crate) enum Answer {
    /// It is answered.
    Reply(LocalReply),
    /// It can be answered once this is counted, or given up.
    Later(Arc<CountJob>),
}

pub(crate) struct Answered<L> {
    pair: L,
    job: Option<Arc<CountJob>>,
}

impl<L: Local> Answered<L> {
    pub(crate) fn boxed(binding: &Binding<'_>) -> Box<dyn Exchange> {
        Box::new(Self {
            pair: L::bind(binding),
            job: None,
        })
    }

    fn try_answer(&mut self, body: &[u8]) -> Result<Answer> {
        let job = match self.job.take() {
            Some(job) => job,
            None => Arc::new(self.pair.job(body)?),
        };
        let answer = match job.count() {
            Some(count) => Answer::Reply(self.pair.reply(count)?),
            None => Answer::Later(Arc::clone(&job)),
        };
        self.job = Some(job);
        Ok(answer)
    }
}

impl<L: Local> Exchange for Answered<L> {
    fn answer(&mut self, body: &[u8]) -> Option<Result<Answer>> {
        Some(self.try_answer(body))
    }

    fn reply_bytes(&self) -> ReplyBytes {
        ReplyBytes::Untouched
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn request(&mut self, _binding: &Binding<'_>, _scan: &Scan, _body: &[u8]) -> Result<Upstream> {
        Err(Error::Internal("there is no provider to ask".into()))
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn keeps_error(&self, _headers: &Headers) -> bool {
        true
    }

    fn provider_error(
        &self,
        _status: u16,
        _headers: &Headers,
        _body: &[u8],
    ) -> Option<ProviderError> {
        None
    }
}
