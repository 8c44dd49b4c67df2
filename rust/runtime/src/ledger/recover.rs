//! What processes left behind that were killed: queue entries become records, open slots become
//! records of crashed requests. Each id once, also when recovery itself is killed.
//!
//! All that is recovered of one process comes into one file, which is the next segment of that
//! process and appears at once or not at all. Whoever finds the maps again, because they were not
//! removed yet, finds every id in the segments too.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use aigw_core::record::{AttemptRecord, Outcome, Priced, UsageRecord};
use serde::Deserialize;

use crate::exchange::{backend_of, route_of};
use crate::inflight::{self, OpenSlot};
use crate::ledger::disk::{Disk, make_directory};
use crate::ledger::files::{Listing, Name, SEGMENT, lock_if_left};
use crate::ledger::frame::{self, Frames, Kind};
use crate::ledger::loss::Loss;
use crate::ledger::queue;

/// Recovers everything in a runtime directory whose process is gone.
///
/// # Errors
/// The ledger cannot be read or written. What was not recovered is still there.
pub(crate) fn all(disk: &Disk, runtime: &Path, directory: &Path) -> io::Result<()> {
    let mut failed = None;
    for name in names(runtime)? {
        if let Some(left) = Left::claim(runtime, &name)
            && let Err(error) = left.recover(disk, directory)
        {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Removes the maps of processes that are gone and kept no ledger.
pub(crate) fn forget(runtime: &Path) {
    for name in names(runtime).unwrap_or_default() {
        if let Some(left) = Left::claim(runtime, &name) {
            left.remove();
        }
    }
}

/// Names of processes with maps in a directory.
fn names(runtime: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(runtime) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".map"));
        let found = stem.and_then(|stem| {
            let queue = stem.strip_prefix("queue-");
            queue.or_else(|| stem.strip_prefix("inflight-"))
        });
        names.extend(found.map(str::to_owned));
    }
    Ok(names)
}

/// The maps of one process that is gone, locked by us.
struct Left {
    name: String,
    queue: PathBuf,
    slots: PathBuf,
    _locks: Vec<File>,
}

impl Left {
    /// `None` while the process lives, or somebody else is at it, or has done it.
    fn claim(runtime: &Path, name: &str) -> Option<Self> {
        let queue = runtime.join(format!("queue-{name}.map"));
        let slots = runtime.join(format!("inflight-{name}.map"));
        let mut locks = Vec::new();
        for path in [&slots, &queue] {
            if path.exists() {
                locks.push(lock_if_left(path)?);
            }
        }
        (queue.exists() || slots.exists()).then(|| Self {
            name: name.to_owned(),
            queue,
            slots,
            _locks: locks,
        })
    }

    fn recover(&self, disk: &Disk, directory: &Path) -> io::Result<()> {
        let mut found = Found::default();
        if self.queue.exists() {
            queue::read(&fs::read(&self.queue)?, |ring| {
                ring.leftovers(|id, payload| found.entries.push((id, payload.to_vec())));
                found.lost = ring.lost();
                found.told = ring.told();
            });
        }
        if self.slots.exists() {
            found.slots = inflight::recover(&self.slots)?;
        }
        if !found.is_empty() {
            self.save(found, disk, directory)?;
        }
        self.remove();
        Ok(())
    }

    fn save(&self, mut found: Found, disk: &Disk, directory: &Path) -> io::Result<()> {
        let seq = found.compare(directory, &self.name)?;
        let frames = found.into_frames()?;
        if frames.is_empty() {
            return Ok(());
        }
        let name = Name {
            writer: self.name.clone(),
            seq,
        };
        make_directory(directory)?;
        disk.place(&name.path(directory, SEGMENT), &frames)
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.queue);
        let _ = fs::remove_file(&self.slots);
    }
}

/// What the maps of a process hold.
#[derive(Default)]
struct Found {
    entries: Vec<(u128, Vec<u8>)>,
    slots: Vec<OpenSlot>,
    lost: u64,
    told: u64,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.slots.is_empty() && self.lost == self.told
    }

    /// Takes out what is in the segments of the process; returns the number of the next one.
    fn compare(&mut self, directory: &Path, writer: &str) -> io::Result<u64> {
        let entries = self.entries.iter().map(|(id, _)| *id);
        let mut wanted: HashSet<u128> = entries
            .chain(self.slots.iter().map(|slot| slot.id))
            .collect();
        let mut next = 0;
        for name in Listing::of(directory)?.of_writer(writer) {
            next = name.seq + 1;
            let file = match File::open(name.path(directory, SEGMENT)) {
                Ok(file) => file,
                // Only its rollup is left.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut frames = Frames::new(file, 0);
            while let Some(frame) = frames.next()? {
                if frame.kind == Kind::Loss {
                    let loss: Loss = serde_json::from_slice(frame.payload).unwrap_or_default();
                    self.told = self.told.max(loss.queue_total);
                }
                wanted.remove(&frame.id);
            }
        }
        self.entries.retain(|(id, _)| wanted.remove(id));
        self.slots.retain(|slot| wanted.remove(&slot.id));
        Ok(next)
    }

    fn into_frames(self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for (id, payload) in &self.entries {
            frame::append(&mut out, Kind::Record, *id, payload);
        }
        for slot in self.slots {
            let id = slot.id;
            let record = serde_json::to_vec(&unfinished(slot))?;
            frame::append(&mut out, Kind::Record, id, &record);
        }
        if self.lost > self.told {
            let loss = Loss {
                lost: self.lost - self.told,
                queue_total: self.lost,
                ..Loss::now()
            };
            frame::append(&mut out, Kind::Loss, 0, &serde_json::to_vec(&loss)?);
        }
        Ok(out)
    }
}

/// Who asked, as a slot keeps it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Client {
    identity: Option<String>,
    attributes: std::collections::BTreeMap<String, String>,
}

/// The record of a request whose process ended first. If its reply had come to its end, only the
/// way to the client is not known.
fn unfinished(slot: OpenSlot) -> UsageRecord {
    let client: Client = serde_json::from_str(&slot.client).unwrap_or_default();
    let completed = slot.completed;
    let outcome = completed.map_or(Outcome::Crashed, |_| Outcome::Completed);
    let estimated = completed.is_none_or(|end| end.estimated);
    let status = completed.map_or(0, |end| end.status);
    let pico_usd = completed.and_then(|end| end.pico_usd);
    let price = pico_usd.map(|pico_usd| Priced {
        pico_usd,
        ..Priced::default()
    });
    let attempt = AttemptRecord {
        backend_name: slot.backend.clone(),
        routed_model: slot.routed_model.clone(),
        outcome,
        usage: slot.usage,
        estimated,
        status,
        price: price.clone(),
        ..AttemptRecord::default()
    };
    UsageRecord {
        id: format!("{:032x}", slot.id),
        started_at: slot.started_at,
        gateway: slot.gateway,
        operation: slot.operation,
        identity: client.identity,
        attributes: client.attributes,
        route: route_of(&slot.backend),
        backend: backend_of(&slot.backend),
        requested_model: slot.model,
        routed_model: slot.routed_model,
        outcome,
        usage: slot.usage,
        estimated,
        status,
        price,
        attempts: if slot.backend.is_empty() {
            Vec::new()
        } else {
            vec![attempt]
        },
        ..UsageRecord::default()
    }
}
