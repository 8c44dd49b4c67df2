//! The one place where files of the ledger are written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes files, all or nothing.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    /// Space that is left, for tests of a full disk.
    #[cfg(test)]
    pub(crate) space: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl Disk {
    /// Writes at the end of a file.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests set its space"))]
    pub(crate) fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(space) = &self.space {
            use std::sync::atomic::Ordering::SeqCst;
            let have = usize::try_from(space.load(SeqCst)).unwrap();
            if have < bytes.len() {
                // As a full disk does it: a part is written.
                file.write_all(&bytes[..have])?;
                space.store(0, SeqCst);
                return Err(io::ErrorKind::StorageFull.into());
            }
            space.fetch_sub(bytes.len() as u64, SeqCst);
        }
        file.write_all(bytes)
    }

    /// A whole file: it is there with all its bytes, or not at all, also after a power failure.
    pub(crate) fn place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let draft = path.with_extension(format!("{:016x}.tmp", fastrand::u64(..)));
        let placed = create_locked(&draft).and_then(|mut file| {
            self.write(&mut file, bytes)?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            sync_directory(path)
        });
        if placed.is_err() {
            let _ = fs::remove_file(&draft);
        }
        placed
    }
}

/// Makes the directory of a ledger, for its owner alone.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// A new file, locked, under a name that nobody reads yet.
pub(crate) fn create_locked(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(path)?;
    file.try_lock()?;
    Ok(file)
}

/// Makes the names of a file's directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
