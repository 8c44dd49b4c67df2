//! One ext_proc stream without a transport: messages in, messages out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aigw_runtime::{Exchange, RequestTable, Runtime};
use bytes::Bytes;
use prost::Message;

use crate::access_log;
use crate::attempt::AttemptStream;
use crate::late::Late;
use crate::messages::ProcessingRequest;
use crate::reply::Replies;
use crate::request::RequestStream;

/// Requests in flight that one process accepts.
const TABLE_CAP: usize = 65_536;

/// Wakes a waiting stream; may be called from any thread, more often than needed, and late.
pub type WakeUp = Arc<dyn Fn() + Send + Sync>;

/// What the streams of one process share.
pub struct Host {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) table: RequestTable,
    late: Late,
}

impl Host {
    /// A host over a runtime, without requests.
    pub fn new(runtime: Arc<Runtime>) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            table: RequestTable::sharded(TABLE_CAP),
            late: Late::new(TABLE_CAP),
        })
    }

    /// Takes in a message of Envoy's access log.
    ///
    /// # Errors
    /// [`SessionError::Malformed`] for bytes that are none.
    pub fn access_log(&self, message: Bytes) -> Result<(), SessionError> {
        for entry in access_log::entries(message)? {
            let live = self.table.get(entry.id);
            if let Some(exchange) = live.or_else(|| self.late.take(entry.id)) {
                exchange.finish(Some(&entry.end));
            }
        }
        Ok(())
    }

    /// Requests whose record is not written yet: they run, or wait for the access log.
    pub fn unwritten(&self) -> usize {
        self.table.len() + self.late.len()
    }

    /// The streams of a request are over. Its record waits for the access log, but not for long.
    pub(crate) fn over(&self, exchange: &Arc<Exchange>) {
        let id = exchange.id();
        if !exchange.is_finished() {
            self.late.add(exchange);
        }
        self.table.remove(id);
    }

    /// Requests between their two filters.
    pub fn table(&self) -> &RequestTable {
        &self.table
    }
}

/// Which filter a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The filter that sees the client's request, before the route is final.
    Request,
    /// The filter in front of a provider.
    Attempt,
}

impl Role {
    /// A role by its name in the gRPC metadata.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "request" => Some(Self::Request),
            "attempt" => Some(Self::Attempt),
            _ => None,
        }
    }
}

/// What a transport does after it has sent the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the next message.
    Read,
    /// Call [`Session::resume`] after the wake-up; messages may come meanwhile.
    Wait,
    /// Close the stream with status OK: nothing more is to be done.
    Close,
}

/// Why a stream cannot go on. Texts never show message content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The bytes are not an ext_proc message.
    #[error("malformed ext_proc message")]
    Malformed,
    /// A fault of the gateway itself; the process goes on.
    #[error("internal error")]
    Panicked,
}

enum Stream {
    Request(RequestStream),
    Attempt(Box<AttemptStream>),
}

/// One stream. Dropping it ends the request, or the attempt.
pub struct Session {
    stream: Option<Stream>,
}

impl Session {
    /// A fresh stream.
    pub fn new(host: Arc<Host>, role: Role, gateway: &str, wake_up: WakeUp) -> Self {
        let stream = match role {
            Role::Request => Stream::Request(RequestStream::new(host, gateway)),
            Role::Attempt => Stream::Attempt(Box::new(AttemptStream::new(host, wake_up))),
        };
        Self {
            stream: Some(stream),
        }
    }

    /// Takes in a message and appends the replies that are due now.
    ///
    /// # Errors
    /// [`SessionError`]; the stream must then be closed with a gRPC error.
    pub fn on_message(
        &mut self,
        message: Bytes,
        replies: &mut Replies,
    ) -> Result<Next, SessionError> {
        let request = ProcessingRequest::decode(message).map_err(|_| SessionError::Malformed)?;
        self.guarded(|stream| match stream {
            Stream::Request(stream) => stream.on_message(request, replies),
            Stream::Attempt(stream) => stream.on_message(request, replies),
        })
    }

    /// Goes on after a wake-up; harmless when nothing waits.
    ///
    /// # Errors
    /// As [`Self::on_message`].
    pub fn resume(&mut self, replies: &mut Replies) -> Result<Next, SessionError> {
        self.guarded(|stream| match stream {
            Stream::Request(_) => Next::Read,
            Stream::Attempt(stream) => stream.resume(replies),
        })
    }

    /// Runs a step; a panic ends this stream only.
    fn guarded(&mut self, step: impl FnOnce(&mut Stream) -> Next) -> Result<Next, SessionError> {
        let Some(stream) = self.stream.as_mut() else {
            return Err(SessionError::Panicked);
        };
        if let Ok(next) = catch_unwind(AssertUnwindSafe(|| step(stream))) {
            return Ok(next);
        }
        self.discard();
        Err(SessionError::Panicked)
    }

    /// Drops a stream whose state can no longer be trusted.
    fn discard(&mut self) {
        let stream = self.stream.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(stream)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
