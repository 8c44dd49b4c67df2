//! Names in a ledger's directory.
//!
//! ```text
//! <writer>-<seq>.seg       records, in the order in which they came; locked while it grows
//! <writer>-<seq>.rollup    hourly sums of that segment; once it is there, it counts instead
//! <name>.cursor            how far an exporter has come
//! *.tmp                    a file that is being written
//! ```
//!
//! A writer is one process in one life: milliseconds of its start and 32 random bits, in hex. So
//! names in their order are nearly an order of time, and nothing relies on it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::unix_nanos;

pub(crate) const SEGMENT: &str = "seg";
pub(crate) const ROLLUP: &str = "rollup";
const CURSOR: &str = "cursor";
const DRAFT: &str = "tmp";
/// Nobody takes that long to write one.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// A name for a process that writes a ledger; nobody else has it.
pub fn new_writer() -> String {
    let milliseconds = unix_nanos() / 1_000_000;
    format!("{milliseconds:012x}.{:08x}", fastrand::u32(..))
}

/// Which segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) writer: String,
    pub(crate) seq: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}-{:08}", self.writer, self.seq)
    }
}

impl Name {
    fn parse(stem: &str) -> Option<Self> {
        let (writer, seq) = stem.rsplit_once('-')?;
        Some(Self {
            writer: writer.to_owned(),
            seq: seq.parse().ok()?,
        })
    }

    /// Its path.
    pub(crate) fn path(&self, directory: &Path, extension: &str) -> PathBuf {
        directory.join(format!("{self}.{extension}"))
    }
}

/// What there is of a segment. Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) segment: Option<u64>,
    pub(crate) rollup: Option<u64>,
}

/// What stands in a directory.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) segments: BTreeMap<Name, Parts>,
    pub(crate) cursors: Vec<PathBuf>,
}

impl Listing {
    /// Lists a directory; one that does not exist is empty.
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let extension = path.extension().and_then(|text| text.to_str());
            let name = path.file_stem().and_then(|stem| stem.to_str());
            match (extension, name.and_then(Name::parse)) {
                (Some(SEGMENT), Some(name)) => {
                    found.segments.entry(name).or_default().segment = size(&path);
                }
                (Some(ROLLUP), Some(name)) => {
                    found.segments.entry(name).or_default().rollup = size(&path);
                }
                (Some(CURSOR), _) => found.cursors.push(path),
                (_, _) => {}
            }
        }
        Ok(found)
    }

    /// Segments of a writer.
    pub(crate) fn of_writer<'a>(&'a self, writer: &'a str) -> impl Iterator<Item = &'a Name> {
        self.segments
            .keys()
            .filter(move |name| name.writer == writer)
    }
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.len())
}

/// Removes what writers left behind that were killed in the middle of a file.
pub(crate) fn remove_drafts(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_draft = path.extension().is_some_and(|found| found == DRAFT);
        if is_draft && is_forgotten(&path) && lock_if_left(&path).is_some() {
            let _ = fs::remove_file(&path);
        }
    }
}

fn is_forgotten(path: &Path) -> bool {
    let changed = fs::metadata(path).and_then(|found| found.modified());
    changed.is_ok_and(|at| {
        let age = SystemTime::now().duration_since(at);
        age.is_ok_and(|age| age > FORGOTTEN)
    })
}

/// The locked file, if the process that wrote it is gone.
pub(crate) fn lock_if_left(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
