//! A file in shared memory, seen as 64-bit atomic words. The one unsafe module of this crate.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use memmap2::MmapMut;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file to be mapped, locked for as long as its process lives.
pub(crate) struct MapFile {
    file: File,
    path: PathBuf,
}

impl MapFile {
    /// A new file of zeros. It has all its space: a disk that fills up later is no fault of
    /// memory. It has its name only once it is locked: who finds it unlocked knows that its
    /// process is gone.
    pub(crate) fn create(path: &Path, words: usize) -> io::Result<Self> {
        let draft = path.with_extension("new");
        let found = Self::draft(&draft, words).and_then(|file| {
            file.try_lock()?;
            fs::rename(&draft, path)?;
            Ok(Self {
                file,
                path: path.to_path_buf(),
            })
        });
        if found.is_err() {
            let _ = fs::remove_file(&draft);
        }
        found
    }

    fn draft(path: &Path, words: usize) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.mode(0o600).open(path)?;
        let mut left = words * size_of::<AtomicU64>();
        while left > 0 {
            let part = ZEROS.get(..left.min(ZEROS.len())).unwrap_or(&ZEROS);
            file.write_all(part)?;
            left -= part.len();
        }
        Ok(file)
    }

    /// Its memory.
    pub(crate) fn map(&self, words: usize) -> io::Result<Words> {
        if self.file.metadata()?.len() < (words * size_of::<AtomicU64>()) as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: the file is created by this process in its own 0700 directory; nobody
        // truncates it while it is mapped, and all access goes through atomics.
        let map = unsafe { MmapMut::map_mut(&self.file) }?;
        Ok(Words { map })
    }

    /// Takes its name away.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The content of a mapped file, for reading it when its process is gone.
pub(crate) fn words_of(bytes: &[u8]) -> Vec<AtomicU64> {
    let whole = bytes.chunks_exact(size_of::<u64>());
    let words = whole.filter_map(|chunk| chunk.try_into().ok());
    words
        .map(|bytes| AtomicU64::new(u64::from_ne_bytes(bytes)))
        .collect()
}

/// Mapped memory.
pub(crate) struct Words {
    map: MmapMut,
}

impl Words {
    /// Anonymous memory of the same shape, for when no file can be had.
    pub(crate) fn anonymous(words: usize) -> io::Result<Self> {
        Ok(Self {
            map: MmapMut::map_anon(words * size_of::<AtomicU64>())?,
        })
    }

    /// The words.
    #[expect(clippy::cast_ptr_alignment, reason = "mappings are page-aligned")]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let count = self.map.len() / size_of::<AtomicU64>();
        // SAFETY: a mapping is page-aligned and lives as long as `self`; AtomicU64 has the
        // layout of u64, every bit pattern is valid, and access through `&self` is atomic.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), count) }
    }
}
