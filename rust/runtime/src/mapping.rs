//! A file in shared memory, seen as 64-bit atomic words. The one unsafe module of this crate.

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use memmap2::MmapMut;

/// A mapped file.
pub(crate) struct Words {
    map: MmapMut,
}

impl Words {
    /// Maps `words` words of a file that is sized to hold them.
    pub(crate) fn map(file: &File, words: usize) -> io::Result<Self> {
        file.set_len((words * size_of::<AtomicU64>()) as u64)?;
        // SAFETY: the file is created by this process in its own 0700 directory; nobody
        // truncates it while it is mapped, and all access goes through atomics.
        let map = unsafe { MmapMut::map_mut(file) }?;
        Ok(Self { map })
    }

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
