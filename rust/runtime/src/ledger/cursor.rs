//! Single records, one after the other, from a position that can be kept.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ledger::disk::Disk;
use crate::ledger::files::{Listing, Name, SEGMENT};
use crate::ledger::frame::{Frames, Kind};

/// How far a reader has come, by writer: several may write at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cursor {
    writers: BTreeMap<String, Position>,
}

/// A place in the segments of one writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Position {
    segment: u64,
    offset: u64,
}

impl Cursor {
    /// From a file; the beginning where there is none, or none that can be read.
    pub(crate) fn load(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Whether all of a segment of so many bytes was read.
    pub(crate) fn passed(&self, name: &Name, size: u64) -> bool {
        let end = Position {
            segment: name.seq,
            offset: size,
        };
        self.position(&name.writer) >= end
    }

    fn position(&self, writer: &str) -> Position {
        self.writers.get(writer).copied().unwrap_or_default()
    }
}

/// Reads single records, also while they are written.
///
/// Records of one process come in their order; those of several processes have no order. The
/// torn end of a segment is waited for until its writer goes on or a later segment is there.
pub struct Records {
    directory: PathBuf,
    cursor: Cursor,
}

impl Records {
    /// Goes on at a cursor; an empty one is the beginning.
    ///
    /// # Errors
    /// The cursor is none.
    pub fn open(directory: &Path, cursor: &[u8]) -> Result<Self, String> {
        let cursor = match cursor {
            b"" => Cursor::default(),
            text => serde_json::from_slice(text).map_err(|error| format!("cursor: {error}"))?,
        };
        Ok(Self {
            directory: directory.to_path_buf(),
            cursor,
        })
    }

    /// Goes on where the reader of this name was; see [`Self::keep`].
    ///
    /// # Errors
    /// The name is none.
    pub fn resume(directory: &Path, name: &str) -> Result<Self, String> {
        let cursor = Cursor::load(&cursor_path(directory, name)?);
        Ok(Self {
            directory: directory.to_path_buf(),
            cursor,
        })
    }

    /// The next records, as JSON, at most `limit`. Empty when there are no more yet.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn read(&mut self, limit: usize) -> io::Result<Vec<Vec<u8>>> {
        let listing = Listing::of(&self.directory)?;
        let mut found = Vec::new();
        for (name, parts) in &listing.segments {
            if found.len() >= limit {
                break;
            }
            let Some(size) = parts.segment else {
                continue;
            };
            if self.cursor.passed(name, size) {
                continue;
            }
            self.read_segment(name, limit, &mut found)?;
            if found.len() < limit && parts.rollup.is_some() {
                // Sealed: what is left is damaged, and nobody will mend it.
                self.stand(name, size);
            }
        }
        if found.is_empty() {
            let writers = &mut self.cursor.writers;
            writers.retain(|writer, _| listing.of_writer(writer).next().is_some());
        }
        Ok(found)
    }

    fn read_segment(
        &mut self,
        name: &Name,
        limit: usize,
        found: &mut Vec<Vec<u8>>,
    ) -> io::Result<()> {
        let from = self.cursor.position(&name.writer);
        let from = if from.segment == name.seq {
            from.offset
        } else {
            0
        };
        let mut file = match File::open(name.path(&self.directory, SEGMENT)) {
            Ok(file) => file,
            // Removed meanwhile; who did it counts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut frames = Frames::new(file, from);
        while found.len() < limit {
            let Some(frame) = frames.next()? else {
                break;
            };
            if frame.kind == Kind::Record {
                found.push(frame.payload.to_vec());
            }
        }
        self.stand(name, frames.offset());
        Ok(())
    }

    fn stand(&mut self, name: &Name, offset: u64) {
        let segment = name.seq;
        let position = Position { segment, offset };
        self.cursor.writers.insert(name.writer.clone(), position);
    }

    /// Where [`Self::read`] goes on.
    pub fn cursor(&self) -> Vec<u8> {
        serde_json::to_vec(&self.cursor).unwrap_or_default()
    }

    /// Keeps the cursor in the ledger under a name: segments that it has not passed are the last
    /// to be removed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, name: &str) -> io::Result<()> {
        let path = cursor_path(&self.directory, name).map_err(io::Error::other)?;
        Disk::default().place(&path, &self.cursor())
    }
}

fn cursor_path(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{name:?} is no name of a cursor"));
    }
    Ok(directory.join(format!("{name}.cursor")))
}
