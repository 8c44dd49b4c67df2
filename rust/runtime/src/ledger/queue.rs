//! Records on their way to the disk, in mapped memory that survives SIGKILL.
//!
//! A ring of 64-bit words. Workers reserve space with one compare-and-swap and write side by side;
//! one thread reads. An entry counts once its first word, which is its own position, is there:
//!
//! ```text
//! position + 1 | payload length, CRC32C | id (2) | payload, padded with zeros
//! ```
//!
//! What was read is set to zero before it is given back, so that no old word looks like a position.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::frame::{self, Kind, MAX_PAYLOAD};
use crate::mapping::{MapFile, Words, words_of};

/// Words of the ring: 8 MiB.
const RING: usize = 1 << 20;
/// Words of an entry before its payload.
const FRAME: u64 = 4;
// Places of counters, on cache lines of their own.
const HEAD: usize = 0;
const TAIL: usize = 8;
const LOST: usize = 16;
const TOLD: usize = 24;
const FIRST: usize = 64;

/// The queue of this process.
pub(crate) struct Queue {
    words: Option<Words>,
    file: Option<MapFile>,
}

/// The words of a queue, of this process or of one that is gone.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a>(&'a [AtomicU64]);

/// An entry that is complete.
pub(crate) struct Entry {
    pub(crate) id: u128,
    crc: u32,
    /// Where the next one stands.
    next: u64,
}

impl Queue {
    /// `queue-<name>.map` in a directory; memory of this process alone where no file can be had,
    /// and nothing where there is not even that.
    pub(crate) fn create(dir: &Path, name: &str) -> Self {
        let size = FIRST + RING;
        let file = MapFile::create(&dir.join(format!("queue-{name}.map")), size).ok();
        let mapped = file.as_ref().and_then(|file| file.map(size).ok());
        let words = mapped.or_else(|| Words::anonymous(size).ok());
        Self { words, file }
    }

    /// Puts in a payload; one that finds no space is counted as lost.
    pub(crate) fn push(&self, id: u128, payload: &[u8]) {
        let ring = self.ring();
        let Some(at) = ring.reserve(payload) else {
            ring.add(LOST, 1);
            return;
        };
        ring.store(at, id, payload);
    }

    /// The words.
    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring(self.words.as_ref().map_or(&[], Words::words))
    }

    /// Nothing is left to recover.
    pub(crate) fn remove(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

impl Ring<'_> {
    fn counter(&self, place: usize) -> u64 {
        self.0
            .get(place)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn set_counter(&self, place: usize, value: u64) {
        if let Some(word) = self.0.get(place) {
            word.store(value, Ordering::Release);
        }
    }

    fn add(&self, place: usize, count: u64) {
        if let Some(word) = self.0.get(place) {
            word.fetch_add(count, Ordering::AcqRel);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than RING")]
    fn word(&self, position: u64) -> Option<&AtomicU64> {
        self.0.get(FIRST + (position % RING as u64) as usize)
    }

    fn load(&self, position: u64) -> u64 {
        self.word(position)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn set(&self, position: u64, value: u64) {
        if let Some(word) = self.word(position) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn reserve(&self, payload: &[u8]) -> Option<u64> {
        if payload.len() > MAX_PAYLOAD {
            return None;
        }
        let need = size_of_entry(payload.len());
        let head = self.0.get(HEAD)?;
        let mut at = head.load(Ordering::Relaxed);
        loop {
            if at + need - self.counter(TAIL) > RING as u64 {
                return None;
            }
            let swap =
                head.compare_exchange_weak(at, at + need, Ordering::AcqRel, Ordering::Relaxed);
            match swap {
                Ok(_) => return Some(at),
                Err(now) => at = now,
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the id")]
    fn store(&self, at: u64, id: u128, payload: &[u8]) {
        let crc = frame::checksum(Kind::Record, id, payload);
        self.set(at + 1, payload.len() as u64 | (u64::from(crc) << 32));
        self.set(at + 2, id as u64);
        self.set(at + 3, (id >> 64) as u64);
        for (position, chunk) in (at + FRAME..).zip(payload.chunks(8)) {
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.set(position, u64::from_le_bytes(bytes));
        }
        if let Some(word) = self.word(at) {
            // Only now is there an entry.
            word.store(at + 1, Ordering::Release);
        }
    }

    /// Start of what nobody has taken over.
    pub(crate) fn tail(&self) -> u64 {
        self.counter(TAIL)
    }

    /// Everything up to here is reserved.
    pub(crate) fn head(&self) -> u64 {
        self.counter(HEAD)
    }

    /// The entry at a position, its payload in `payload`; `None` where none is complete.
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(crate) fn entry(&self, at: u64, payload: &mut Vec<u8>) -> Option<Entry> {
        if self.word(at)?.load(Ordering::Acquire) != at + 1 {
            return None;
        }
        let sizes = self.load(at + 1);
        let (length, crc) = (sizes as u32 as usize, (sizes >> 32) as u32);
        let next = at + size_of_entry(length);
        if length > MAX_PAYLOAD || next > self.head() {
            return None;
        }
        let id = u128::from(self.load(at + 2)) | (u128::from(self.load(at + 3)) << 64);
        payload.clear();
        for position in at + FRAME..next {
            payload.extend_from_slice(&self.load(position).to_le_bytes());
        }
        payload.truncate(length);
        (frame::checksum(Kind::Record, id, payload) == crc).then_some(Entry { id, crc, next })
    }

    /// Appends whole entries from the tail on, as frames, until `out` has `enough`. Returns where
    /// they end, and how many there are.
    pub(crate) fn copy(
        &self,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
        enough: usize,
    ) -> (u64, u64) {
        let (mut at, mut count) = (self.tail(), 0);
        while out.len() < enough {
            let Some(entry) = self.entry(at, scratch) else {
                break;
            };
            frame::append_checked(out, Kind::Record, entry.id, scratch, entry.crc);
            at = entry.next;
            count += 1;
        }
        (at, count)
    }

    /// Gives back everything before `end`.
    pub(crate) fn release(&self, end: u64) {
        for position in self.tail()..end {
            self.set(position, 0);
        }
        self.set_counter(TAIL, end);
    }

    /// Complete entries of a process that is gone; an incomplete one does not hide the next.
    pub(crate) fn leftovers(&self, mut take: impl FnMut(u128, &[u8])) {
        let (mut at, head) = (self.tail(), self.head());
        if head.wrapping_sub(at) > RING as u64 {
            return;
        }
        let mut payload = Vec::new();
        while at < head {
            match self.entry(at, &mut payload) {
                Some(entry) => {
                    take(entry.id, &payload);
                    at = entry.next;
                }
                None => at += 1,
            }
        }
    }

    /// Records that found no space.
    pub(crate) fn lost(&self) -> u64 {
        self.counter(LOST)
    }

    /// How many of the lost ones the ledger knows of.
    pub(crate) fn told(&self) -> u64 {
        self.counter(TOLD)
    }

    /// The ledger knows of so many lost ones.
    pub(crate) fn set_told(&self, count: u64) {
        self.set_counter(TOLD, count);
    }
}

fn size_of_entry(length: usize) -> u64 {
    FRAME + length.div_ceil(8) as u64
}

/// Runs `read` on the queue in a file.
pub(crate) fn read<T>(bytes: &[u8], read: impl FnOnce(Ring<'_>) -> T) -> T {
    read_words(&words_of(bytes), read)
}

fn read_words<T>(words: &[AtomicU64], read: impl FnOnce(Ring<'_>) -> T) -> T {
    read(Ring(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (tempfile::TempDir, Queue) {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::create(dir.path(), "q");
        (dir, queue)
    }

    fn left(dir: &Path) -> Vec<(u128, Vec<u8>)> {
        let bytes = std::fs::read(dir.join("queue-q.map")).unwrap();
        let mut found = Vec::new();
        read(&bytes, |ring| {
            ring.leftovers(|id, payload| found.push((id, payload.to_vec())));
        });
        found
    }

    #[test]
    fn entries_of_many_threads_come_out_once_each_across_many_laps() {
        let (dir, queue) = queue();
        let total = 16_000_u32;
        let mut seen = vec![0_u32; total as usize];
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let queue = &queue;
                scope.spawn(move || {
                    for n in 0..total / 4 {
                        let id = u128::from(worker * (total / 4) + n);
                        let payload = vec![b'a'; 1500 + usize::try_from(id % 97).unwrap()];
                        let lost = queue.ring().lost();
                        queue.push(id, &payload);
                        if queue.ring().lost() != lost {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let (mut out, mut scratch, mut count) = (Vec::new(), Vec::new(), 0);
            while count + queue.ring().lost() < u64::from(total) {
                out.clear();
                let (end, copied) = queue.ring().copy(&mut out, &mut scratch, 1 << 20);
                queue.ring().release(end);
                count += copied;
                let mut frames = frame::Frames::new(out.as_slice(), 0);
                while let Some(frame) = frames.next().unwrap() {
                    seen[usize::try_from(frame.id).unwrap()] += 1;
                    assert_eq!(
                        frame.payload.len(),
                        1500 + usize::try_from(frame.id % 97).unwrap()
                    );
                }
            }
        });
        assert!(seen.iter().all(|count| *count <= 1));
        let taken = seen.iter().map(|count| u64::from(*count)).sum::<u64>();
        assert_eq!(taken + queue.ring().lost(), u64::from(total));
        assert!(left(dir.path()).is_empty());
    }

    #[test]
    fn a_full_queue_counts_and_goes_on_when_there_is_space() {
        let (_dir, queue) = queue();
        let payload = vec![b'x'; MAX_PAYLOAD];
        for id in 0..9 {
            queue.push(id, &payload);
        }
        assert_eq!(queue.ring().lost(), 2);
        queue.push(9, &vec![b'x'; MAX_PAYLOAD + 1]);
        assert_eq!(queue.ring().lost(), 3);
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        let (end, count) = queue.ring().copy(&mut out, &mut scratch, 1);
        assert_eq!(count, 1);
        queue.ring().release(end);
        queue.push(10, &payload);
        assert_eq!(queue.ring().lost(), 3);
    }

    #[test]
    fn an_entry_that_was_never_finished_hides_no_other() {
        let (dir, queue) = queue();
        queue.push(1, b"one");
        let unfinished = queue.ring().reserve(b"killed here").unwrap();
        queue.push(2, b"two");
        assert!(queue.ring().entry(unfinished, &mut Vec::new()).is_none());
        let expected = vec![(1, b"one".to_vec()), (2, b"two".to_vec())];
        assert_eq!(left(dir.path()), expected);
    }

    #[test]
    fn a_queue_cut_anywhere_is_read_without_a_fault() {
        let (dir, queue) = queue();
        for id in 0..20 {
            queue.push(id, &[b'y'; 100]);
        }
        let path = dir.path().join("queue-q.map");
        let bytes = std::fs::read(&path).unwrap();
        for cut in (0..FIRST * 8 + 20 * 17 * 8).step_by(7) {
            let found = read(&bytes[..cut], |ring| {
                let mut count = 0;
                ring.leftovers(|_, payload| {
                    assert_eq!(payload, vec![b'y'; 100]);
                    count += 1;
                });
                count
            });
            assert!(found <= cut.saturating_sub(FIRST * 8) / (17 * 8));
        }
    }
}
