//! One gRPC stream of the native server: a [`Session`] as a stream of replies.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use crate::session::{Host, Next, Role, Session, SessionError};

/// Carries wake-up calls of other threads to the task of the stream.
#[derive(Default)]
struct Alarm {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Alarm {
    fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// True once for any number of rings; otherwise the task is woken by the next one.
    fn heard(&self, context: &Context<'_>) -> bool {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        self.rung.swap(false, Ordering::AcqRel)
    }
}

/// Replies of one session.
pub(crate) struct Replies {
    incoming: Streaming<Bytes>,
    session: Option<Session>,
    next: Next,
    ready: VecDeque<Bytes>,
    alarm: Arc<Alarm>,
}

impl Replies {
    pub(crate) fn new(
        incoming: Streaming<Bytes>,
        host: Arc<Host>,
        role: Role,
        gateway: &str,
    ) -> Self {
        let alarm = Arc::new(Alarm::default());
        let bell = Arc::clone(&alarm);
        let session = Session::new(host, role, gateway, Arc::new(move || bell.ring()));
        Self {
            incoming,
            session: Some(session),
            next: Next::Read,
            ready: VecDeque::new(),
            alarm,
        }
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut Session, &mut Vec<Bytes>) -> Result<Next, SessionError>,
    ) -> Result<(), Status> {
        let Some(session) = self.session.as_mut() else {
            return Ok(());
        };
        let mut replies = Vec::new();
        let result = step(session, &mut replies);
        self.ready.extend(replies);
        match result {
            Ok(next) => {
                self.next = next;
                Ok(())
            }
            Err(error) => {
                self.session = None;
                self.next = Next::Close;
                Err(status(error))
            }
        }
    }
}

fn status(error: SessionError) -> Status {
    match error {
        SessionError::Malformed => Status::invalid_argument(error.to_string()),
        SessionError::Panicked => Status::internal(error.to_string()),
    }
}

impl Stream for Replies {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(reply) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(reply)));
            }
            if self.next == Next::Close {
                self.session = None;
                return Poll::Ready(None);
            }
            if self.next == Next::Wait && self.alarm.heard(context) {
                if let Err(status) = self.step(Session::resume) {
                    return Poll::Ready(Some(Err(status)));
                }
                continue;
            }
            match Pin::new(&mut self.incoming).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                // The other side closed or reset the stream: nobody waits for more.
                Poll::Ready(None | Some(Err(_))) => self.next = Next::Close,
                Poll::Ready(Some(Ok(message))) => {
                    let step = self.step(|session, out| session.on_message(message, out));
                    if let Err(status) = step {
                        return Poll::Ready(Some(Err(status)));
                    }
                }
            }
        }
    }
}
