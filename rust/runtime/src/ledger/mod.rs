//! Durable usage records.
//!
//! ```text
//! worker ─▶ queue (mapped memory) ─▶ writer thread ─▶ segments ─▶ hourly rollups
//!              └─ SIGKILL ─▶ recovered by the next process ─┘
//! ```
//!
//! A worker never waits and shares no lock: a full queue counts a loss. What the disk does not take
//! stays in the queue. The format of the files is in `files.rs`, `frame.rs` and `rollup.rs`.

mod cursor;
mod disk;
mod files;
mod frame;
mod loss;
mod queue;
mod recover;
mod report;
mod retain;
mod rollup;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::Records;
pub use report::{By, Group, Query, Report, report};

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aigw_core::config;
use aigw_core::record::UsageRecord;

use crate::ledger::queue::Queue;
use crate::ledger::writer::{Settings, Shared, Writer};

pub use files::new_writer;

const MAX_SEGMENT: u64 = 16 << 20;
const MIN_SEGMENT: u64 = 64 << 10;
const SEGMENT_AGE: Duration = Duration::from_hours(1);
const SYNC_EVERY: Duration = Duration::from_millis(100);
/// How long the end of a process may wait for the disk.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// What became of the records of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records in the ledger.
    pub written: u64,
    /// Records that found the queue full.
    pub lost: u64,
    /// Bytes in the queue.
    pub waiting_bytes: u64,
    /// Times that the disk refused something.
    pub faults: u64,
}

/// The ledger of this process, as a runtime uses it.
pub struct Ledger {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    ended: Mutex<Receiver<()>>,
}

impl Ledger {
    /// Starts the writer; it first recovers what dead processes left in the runtime directory.
    /// `name` is this process's own.
    ///
    /// # Errors
    /// The thread cannot be started. A disk that cannot be written is no error.
    pub fn open(runtime: &Path, name: &str, config: &config::Ledger) -> io::Result<Self> {
        Self::start(name, settings(runtime, config))
    }

    fn start(name: &str, settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            queue: Queue::create(&settings.runtime, name),
            stop: AtomicBool::new(false),
            written: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        });
        let writer = Writer::new(Arc::clone(&shared), settings);
        let (end, ended) = channel::<()>();
        let thread = std::thread::Builder::new().name("aigw-ledger".into());
        let thread = thread.spawn(move || {
            let _end = end;
            writer.run();
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            ended: Mutex::new(ended),
        })
    }

    /// Takes a record. No I/O, no lock, no allocation once a thread has its buffer.
    pub fn add(&self, record: &UsageRecord) {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            if serde_json::to_writer(&mut *buffer, record).is_ok() {
                let id = u128::from_str_radix(&record.id, 16).unwrap_or(0);
                self.shared.queue.push(id, buffer);
            }
        });
    }

    /// What became of the records so far.
    pub fn counts(&self) -> Counts {
        let ring = self.shared.queue.ring();
        Counts {
            written: self.shared.written.load(Ordering::Relaxed),
            lost: ring.lost(),
            waiting_bytes: ring.head().saturating_sub(ring.tail()) * 8,
            faults: self.shared.faults.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Ledger {
    /// Writes what is in the queue. What the disk does not take stays for the next process.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(LAST_WRITES);
        }
    }
}

fn settings(runtime: &Path, config: &config::Ledger) -> Settings {
    Settings {
        runtime: runtime.to_path_buf(),
        directory: config.directory.as_str().into(),
        max_bytes: config.max_bytes,
        segment_bytes: (config.max_bytes / 16).clamp(MIN_SEGMENT, MAX_SEGMENT),
        segment_age: SEGMENT_AGE,
        sync_every: SYNC_EVERY,
        disk: disk::Disk::default(),
    }
}

/// Recovers what dead processes left in a runtime directory, into the ledger that its `config.json`
/// names. Without a ledger there is nothing to do.
///
/// # Errors
/// The ledger cannot be written; all is still there.
pub fn recover(runtime: &Path) -> io::Result<()> {
    let Ok(bytes) = std::fs::read(runtime.join("config.json")) else {
        return Ok(());
    };
    let Ok(config::Config {
        ledger: Some(ledger),
        ..
    }) = config::Config::parse(&bytes)
    else {
        return Ok(());
    };
    let settings = settings(runtime, &ledger);
    recover::all(&settings.disk, runtime, &settings.directory)?;
    // Sums can be made at any time.
    let _ = retain::roll_up(&settings.disk, &settings.directory);
    Ok(())
}

pub(crate) use recover::forget;
