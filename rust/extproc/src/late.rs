//! Requests whose streams are over and whose access-log entry is still to come.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aigw_runtime::{Exchange, RequestTable};

/// How long a record waits for its entry.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests that wait, and a thread that ends the wait.
pub(crate) struct Late {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    waiting: RequestTable,
    deadlines: Mutex<Deadlines>,
    bell: Condvar,
}

#[derive(Default)]
struct Deadlines {
    /// Oldest first.
    queue: VecDeque<(Instant, u128)>,
    over: bool,
}

impl Late {
    pub(crate) fn new(cap: usize) -> Self {
        let shared = Arc::new(Shared {
            waiting: RequestTable::sharded(cap),
            deadlines: Mutex::default(),
            bell: Condvar::new(),
        });
        let mine = Arc::clone(&shared);
        let thread = thread::Builder::new().name("aigw-records".into());
        let thread = thread.spawn(move || mine.run()).ok();
        Self { shared, thread }
    }

    /// Adds a request; one that finds no place does not wait.
    pub(crate) fn add(&self, exchange: &Arc<Exchange>) {
        let shared = &self.shared;
        if self.thread.is_none() || !shared.waiting.insert(exchange) {
            exchange.finish(None);
            return;
        }
        let mut deadlines = shared.lock();
        let deadline = Instant::now() + PATIENCE;
        deadlines.queue.push_back((deadline, exchange.id()));
        if deadlines.queue.len() == 1 {
            shared.bell.notify_all();
        }
    }

    /// Takes a request out: its entry is there.
    pub(crate) fn take(&self, id: u128) -> Option<Arc<Exchange>> {
        self.shared.take(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.shared.waiting.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, id: u128) -> Option<Arc<Exchange>> {
        let exchange = self.waiting.get(id)?;
        self.waiting.remove(id);
        Some(exchange)
    }

    /// Ends waits that are too long; at the end of the process all of them.
    fn run(&self) {
        let mut deadlines = self.lock();
        loop {
            let now = Instant::now();
            let is_over = deadlines.over;
            match deadlines.queue.front().copied() {
                None if is_over => return,
                None => {
                    let waited = self.bell.wait(deadlines);
                    deadlines = waited.unwrap_or_else(PoisonError::into_inner);
                }
                Some((deadline, id)) if is_over || deadline <= now => {
                    deadlines.queue.pop_front();
                    drop(deadlines);
                    if let Some(exchange) = self.take(id) {
                        exchange.finish(None);
                    }
                    deadlines = self.lock();
                }
                Some((deadline, _)) => {
                    let waited = self.bell.wait_timeout(deadlines, deadline - now);
                    deadlines = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.bell.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
