//! The segment that a writer appends to.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::ledger::disk::{Disk, create_locked, sync_directory};
use crate::ledger::files::{Name, SEGMENT};

/// An open segment. It is locked until it is dropped.
pub(crate) struct Segment {
    file: File,
    length: u64,
    opened: Instant,
    /// Since when bytes wait for the disk.
    unsynced: Option<Instant>,
}

impl Segment {
    /// A new, empty segment.
    pub(crate) fn create(directory: &Path, name: &Name) -> io::Result<Self> {
        let path = name.path(directory, SEGMENT);
        let draft = draft_of(&path);
        let file = create_locked(&draft).and_then(|file| {
            fs::rename(&draft, &path)?;
            sync_directory(&path)?;
            Ok(file)
        });
        if file.is_err() {
            let _ = fs::remove_file(&draft);
        }
        Ok(Self {
            file: file?,
            length: 0,
            opened: Instant::now(),
            unsynced: None,
        })
    }

    /// Appends whole frames, or nothing.
    ///
    /// # Errors
    /// Nothing of it counts. [`Fault::Torn`]: nothing may follow either.
    pub(crate) fn append(&mut self, disk: &Disk, frames: &[u8]) -> Result<(), Fault> {
        if let Err(error) = disk.write(&mut self.file, frames) {
            let cut = self.file.set_len(self.length);
            let back = cut.and_then(|()| {
                io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.length)).map(drop)
            });
            return Err(back.map_or(Fault::Torn, |()| Fault::Refused(error)));
        }
        self.length += frames.len() as u64;
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Makes durable what was appended, if some of it waits for `patience`.
    pub(crate) fn sync(&mut self, patience: Duration) -> io::Result<()> {
        if self
            .unsynced
            .is_some_and(|since| since.elapsed() >= patience)
        {
            self.unsynced = None;
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Since it was opened.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// Why frames are not in a segment.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The disk did not take them.
    Refused(io::Error),
    /// A part is there, and cannot be taken away.
    Torn,
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_extension("new.tmp")
}
