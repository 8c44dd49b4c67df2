//! Sums of what is sealed, and the bound on disk space.

use std::fs;
use std::io;
use std::path::Path;

use crate::ledger::cursor::Cursor;
use crate::ledger::disk::Disk;
use crate::ledger::files::{Listing, Name, Parts, ROLLUP, SEGMENT, lock_if_left};
use crate::ledger::loss::Loss;
use crate::ledger::rollup;

/// Writes the rollups of all segments that grow no more, of any writer.
///
/// # Errors
/// The first one; the others are written all the same.
pub(crate) fn roll_up(disk: &Disk, directory: &Path) -> io::Result<()> {
    let mut failed = None;
    for (name, parts) in Listing::of(directory)?.segments {
        if parts.segment.is_none() || parts.rollup.is_some() {
            continue;
        }
        let path = name.path(directory, SEGMENT);
        let Some(_lock) = lock_if_left(&path) else {
            continue;
        };
        let done = match parts.segment {
            Some(0) => fs::remove_file(&path),
            _ => rollup::write(disk, directory, &name),
        };
        if let Err(error) = done {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Removes sealed segments until the directory is small enough: those that exporters have, then
/// the oldest; in the end the oldest rollups. Says what is gone.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn prune(directory: &Path, max_bytes: u64) -> io::Result<Loss> {
    let mut loss = Loss::now();
    let listing = Listing::of(directory)?;
    let bytes = |parts: &Parts| parts.segment.unwrap_or(0) + parts.rollup.unwrap_or(0);
    let mut total: u64 = listing.segments.values().map(bytes).sum();
    if total <= max_bytes {
        return Ok(loss);
    }
    let cursors: Vec<Cursor> = listing
        .cursors
        .iter()
        .map(|path| Cursor::load(path))
        .collect();
    let passed = |name: &Name, size| cursors.iter().all(|cursor| cursor.passed(name, size));
    let sealed = listing.segments.iter().filter_map(|(name, parts)| {
        let size = parts.segment.filter(|_| parts.rollup.is_some())?;
        Some((!passed(name, size), name, size))
    });
    let mut sealed: Vec<_> = sealed.collect();
    sealed.sort();
    for (is_needed, name, size) in sealed {
        if total <= max_bytes {
            return Ok(loss);
        }
        let records = rollup::summary(directory, name).map_or(0, |found| found.records);
        if fs::remove_file(name.path(directory, SEGMENT)).is_ok() && is_needed {
            loss.unexported += records;
        }
        total = total.saturating_sub(size);
    }
    prune_rollups(directory, max_bytes, &mut loss)?;
    Ok(loss)
}

fn prune_rollups(directory: &Path, max_bytes: u64, loss: &mut Loss) -> io::Result<()> {
    let listing = Listing::of(directory)?;
    let sizes = listing.segments.values();
    let mut total: u64 = sizes
        .map(|parts| parts.segment.unwrap_or(0) + parts.rollup.unwrap_or(0))
        .sum();
    for (name, parts) in &listing.segments {
        if total <= max_bytes {
            break;
        }
        let (None, Some(size)) = (parts.segment, parts.rollup) else {
            continue;
        };
        let records = rollup::summary(directory, name).map_or(0, |found| found.records);
        if fs::remove_file(name.path(directory, ROLLUP)).is_ok() {
            loss.lost += records;
        }
        total = total.saturating_sub(size);
    }
    Ok(())
}
