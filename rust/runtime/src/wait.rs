//! Waiting without blocking: an attempt leaves a wake-up call, the watcher thread makes it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use aigw_core::session::WaitFor;

use crate::counts::Counts;
use crate::metrics::Event;
use crate::{Runtime, files, unix_seconds};

/// How often the runtime directory is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A host's wake-up call; runs on the watcher thread and must return at once.
pub type Wake = Box<dyn FnOnce() + Send>;

/// A registered wait. Dropping it cancels the wake-up call.
pub struct Ticket {
    waits: Weak<Mutex<Vec<Waiter>>>,
    id: u64,
    expired: Arc<AtomicBool>,
}

impl Ticket {
    /// True once the deadline has passed without what was waited for.
    pub fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(waits) = self.waits.upgrade() {
            lock(&waits).retain(|waiter| waiter.id != self.id);
        }
    }
}

struct Waiter {
    id: u64,
    wait_for: WaitFor,
    deadline: Instant,
    expired: Arc<AtomicBool>,
    wake: Wake,
}

/// Everybody who waits.
#[derive(Default)]
pub(crate) struct Waits {
    list: Arc<Mutex<Vec<Waiter>>>,
    next_id: AtomicU64,
    alarm: Arc<Alarm>,
    counts: Counts,
}

/// Calls the watcher before its time.
#[derive(Default)]
pub(crate) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        *lock(&self.rung) = true;
        self.bell.notify_all();
    }

    fn wait(&self, pause: Duration) {
        let rung = lock(&self.rung);
        let waited = self.bell.wait_timeout_while(rung, pause, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Waits {
    pub(crate) fn register(&self, wait_for: WaitFor, wake: Wake) -> Ticket {
        let timeout_ms = match &wait_for {
            WaitFor::Credential { timeout_ms, .. } => *timeout_ms,
            WaitFor::Count(job) => job.timeout_ms(),
        };
        let deadline = Instant::now() + Duration::from_millis(timeout_ms);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let expired = Arc::new(AtomicBool::new(false));
        let job = match &wait_for {
            WaitFor::Credential { .. } => None,
            WaitFor::Count(job) => Some(Arc::downgrade(job)),
        };
        lock(&self.list).push(Waiter {
            id,
            wait_for,
            deadline,
            expired: Arc::clone(&expired),
            wake,
        });
        if let Some(job) = job {
            self.counts.add(job, &self.alarm);
        }
        self.alarm.ring();
        Ticket {
            waits: Arc::downgrade(&self.list),
            id,
            expired,
        }
    }

    /// Takes out everybody whose wait is over and wakes them outside the lock.
    fn wake_ready(&self, runtime: &Runtime) {
        let now = Instant::now();
        let credentials = runtime.credentials();
        let mut ready = Vec::new();
        {
            let mut list = lock(&self.list);
            let mut index = 0;
            while let Some(waiter) = list.get(index) {
                let there = match &waiter.wait_for {
                    WaitFor::Credential { name, .. } => {
                        credentials.get(name, unix_seconds()).is_some()
                    }
                    WaitFor::Count(job) => job.is_done(),
                };
                if there || now >= waiter.deadline {
                    waiter.expired.store(!there, Ordering::Release);
                    if !there {
                        runtime.records.metrics.count(timeout_of(&waiter.wait_for));
                    }
                    ready.push(list.swap_remove(index));
                } else {
                    index += 1;
                }
            }
        }
        for waiter in ready {
            (waiter.wake)();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        lock(&self.list).iter().map(|waiter| waiter.deadline).min()
    }
}

/// What is counted when a wait begins.
pub(crate) fn event_of(wait_for: &WaitFor) -> Event {
    match wait_for {
        WaitFor::Credential { .. } => Event::CredentialWait,
        WaitFor::Count(_) => Event::CountWait,
    }
}

fn timeout_of(wait_for: &WaitFor) -> Event {
    match wait_for {
        WaitFor::Credential { .. } => Event::CredentialTimeout,
        WaitFor::Count(_) => Event::CountTimeout,
    }
}

/// Starts the thread that watches files and deadlines. It ends with the runtime.
///
/// # Errors
/// The thread cannot be started: without it nothing would reload, and no wait would end.
pub(crate) fn spawn_watcher(runtime: &Arc<Runtime>, mut seen: files::Seen) -> io::Result<()> {
    let weak = Arc::downgrade(runtime);
    let alarm = Arc::clone(&runtime.waits.alarm);
    let run = move || {
        loop {
            let pause = {
                let Some(runtime) = weak.upgrade() else {
                    return;
                };
                // A fault of ours in one file must not end the watch over all.
                let _ = catch_unwind(AssertUnwindSafe(|| files::refresh(&runtime, &mut seen)));
                let _ = catch_unwind(AssertUnwindSafe(|| runtime.waits.wake_ready(&runtime)));
                runtime.records.keep_up();
                let next = runtime.waits.next_deadline();
                next.map_or(TICK, |at| {
                    at.saturating_duration_since(Instant::now()).min(TICK)
                })
            };
            alarm.wait(pause);
        }
    };
    let thread = std::thread::Builder::new().name("aigw-runtime".into());
    thread.spawn(run).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
