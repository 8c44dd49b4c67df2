//! The thread that brings records from the queue to the disk.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::ledger::disk::{Disk, make_directory};
use crate::ledger::files::{Name, remove_drafts};
use crate::ledger::frame::{self, Kind};
use crate::ledger::loss::Loss;
use crate::ledger::queue::Queue;
use crate::ledger::segment::{Fault, Segment};
use crate::ledger::{recover, retain};

/// How often the queue is looked at.
const TICK: Duration = Duration::from_millis(25);
/// How long to leave a disk alone that took nothing.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes that are written at once.
const BATCH: usize = 1 << 20;

/// Where and how much.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) runtime: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) max_bytes: u64,
    /// A segment is sealed at this size or age.
    pub(crate) segment_bytes: u64,
    pub(crate) segment_age: Duration,
    /// Longest time that written records wait for the disk.
    pub(crate) sync_every: Duration,
    pub(crate) disk: Disk,
}

/// What workers and the writer share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) queue: Queue,
    pub(crate) stop: AtomicBool,
    /// Records that the disk took, and faults of the disk.
    pub(crate) written: AtomicU64,
    pub(crate) faults: AtomicU64,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    settings: Settings,
    segment: Option<Segment>,
    seq: u64,
    batch: Vec<u8>,
    scratch: Vec<u8>,
    /// Not in the ledger yet.
    losses: Loss,
    /// Work on whole files is to be done, or done again.
    untidy: bool,
    rest_until: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, settings: Settings) -> Self {
        Self {
            shared,
            settings,
            segment: None,
            seq: 0,
            batch: Vec::new(),
            scratch: Vec::new(),
            losses: Loss::default(),
            untidy: true,
            rest_until: None,
        }
    }

    /// Writes until it is to stop and all is written, or cannot be.
    pub(crate) fn run(mut self) {
        loop {
            let stops = self.shared.stop.load(Ordering::Acquire);
            // A fault of ours in one step must not end them all.
            let moved = catch_unwind(AssertUnwindSafe(|| self.step())).unwrap_or(false);
            if stops && !moved {
                break;
            }
            if !moved {
                std::thread::park_timeout(TICK);
            }
        }
        self.seal();
        self.tidy();
        if self.losses != Loss::default() && self.copy().is_ok() {
            self.seal();
        }
        let ring = self.shared.queue.ring();
        if ring.tail() == ring.head() && ring.lost() == ring.told() {
            self.shared.queue.remove();
        }
    }

    /// True when there may be more to do at once.
    pub(crate) fn step(&mut self) -> bool {
        if self.rest_until.is_some_and(|end| Instant::now() < end) {
            return false;
        }
        self.rest_until = None;
        self.advance().unwrap_or_else(|_| {
            self.shared.faults.fetch_add(1, Ordering::Relaxed);
            self.rest_until = Some(Instant::now() + PAUSE);
            false
        })
    }

    fn advance(&mut self) -> io::Result<bool> {
        let moved = self.copy()?;
        if let Some(segment) = &mut self.segment {
            let synced = segment.sync(self.settings.sync_every);
            let is_full = segment.length() >= self.settings.segment_bytes
                || segment.age() >= self.settings.segment_age;
            if synced.is_err() || is_full {
                // What a failed sync left out nobody can tell: nothing more comes into this file.
                self.seal();
            }
            synced?;
        }
        if self.untidy {
            self.tidy();
        }
        Ok(moved)
    }

    /// Brings what is in the queue into the segment. The queue keeps it until it is there.
    fn copy(&mut self) -> io::Result<bool> {
        let shared = Arc::clone(&self.shared);
        let ring = shared.queue.ring();
        self.batch.clear();
        let lost = ring.lost();
        self.note_losses(lost, ring.told())?;
        let (end, count) = ring.copy(&mut self.batch, &mut self.scratch, BATCH);
        if self.batch.is_empty() {
            return Ok(false);
        }
        self.append()?;
        self.losses = Loss::default();
        ring.set_told(lost);
        ring.release(end);
        shared.written.fetch_add(count, Ordering::Relaxed);
        Ok(true)
    }

    fn note_losses(&mut self, lost: u64, told: u64) -> io::Result<()> {
        let more = lost.saturating_sub(told);
        if more == 0 && self.losses == Loss::default() {
            return Ok(());
        }
        let loss = Loss {
            at: Loss::now().at,
            lost: self.losses.lost.saturating_add(more),
            queue_total: lost,
            unexported: self.losses.unexported,
        };
        frame::append(&mut self.batch, Kind::Loss, 0, &serde_json::to_vec(&loss)?);
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => self.segment.insert(create(
                &self.settings,
                &Name {
                    writer: self.shared.name.clone(),
                    seq: self.seq,
                },
            )?),
        };
        match segment.append(&self.settings.disk, &self.batch) {
            Ok(()) => Ok(()),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Torn) => {
                self.seal();
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    /// Nothing more comes into the open segment.
    fn seal(&mut self) {
        if let Some(mut segment) = self.segment.take() {
            if segment.sync(Duration::ZERO).is_err() {
                self.shared.faults.fetch_add(1, Ordering::Relaxed);
            }
            self.seq += 1;
            self.untidy = true;
        }
    }

    /// Recovers what dead processes left, sums up what is sealed, keeps the directory small.
    fn tidy(&mut self) {
        let Settings {
            runtime,
            directory,
            max_bytes,
            disk,
            ..
        } = &self.settings;
        let recovered = recover::all(disk, runtime, directory);
        let rolled_up = retain::roll_up(disk, directory);
        remove_drafts(directory);
        let pruned = retain::prune(directory, *max_bytes);
        let failed = recovered.is_err() || rolled_up.is_err() || pruned.is_err();
        if let Ok(loss) = pruned {
            self.losses.lost += loss.lost;
            self.losses.unexported += loss.unexported;
        }
        self.untidy = failed;
        if failed {
            self.shared.faults.fetch_add(1, Ordering::Relaxed);
            self.rest_until = Some(Instant::now() + PAUSE);
        }
    }
}

fn create(settings: &Settings, name: &Name) -> io::Result<Segment> {
    make_directory(&settings.directory)?;
    Segment::create(&settings.directory, name)
}
