//! The shared memory: blocks of numbers behind their attributes, in the order of their creation.
//!
//! ```text
//! word 0 magic   1 start of the process, Unix ns   2 words in use   8… entries
//! entry: block number | bytes of attributes << 8, attributes, numbers
//! ```
//!
//! Attributes are `name\0value\0` each. Writers add to numbers, whoever reads maps the file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::catalogue::{BLOCKS, Block, Event, Kind, Member};
use crate::mapping::{MapFile, Words};
use crate::unix_nanos;

pub(crate) const FILE: &str = "metrics.map";
pub(crate) const MAGIC: u64 = 0x6169_6777_6d65_0001;
pub(crate) const USED: usize = 2;
pub(crate) const FIRST: usize = 8;
/// 3 MiB.
const WORDS: usize = 3 << 17;
/// Sets of attributes with numbers of their own.
const SETS: usize = 2_000;
/// Those that failures may take: who asks for models that nobody has cannot push out the others.
const FAILED_SETS: usize = SETS / 2;
/// One count never moves a sum by more: what providers claim cannot make it wrap.
const LARGEST: u64 = 1 << 48;
const OVERFLOW: &[u8] = b"otel.metric.overflow\0true\0";
const FAILED: &[u8] = b"otel.metric.overflow\0true\0error.type\0_OTHER\0";

/// Where the numbers of a set of attributes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// Whether attributes come from an attempt that a provider served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Served,
    Failed,
}

/// Numbers of one process.
pub(crate) struct Table {
    id: usize,
    words: Option<Words>,
    sets: Mutex<Sets>,
    count: AtomicUsize,
    overflow: [Place; BLOCKS.len()],
}

type Key = Arc<[u8]>;

#[derive(Default)]
struct Sets {
    places: HashMap<Key, Place>,
    in_order: Vec<(Key, Place)>,
    used: usize,
}

/// What a thread knows of the sets of a table.
#[derive(Default)]
struct Known {
    table: usize,
    places: HashMap<Key, Place>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

impl Table {
    /// A fresh table in `dir`, instead of one that another process left there.
    pub(crate) fn create(dir: &Path) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let words = map(dir).or_else(|_| Words::anonymous(WORDS)).ok();
        let mut table = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            words,
            sets: Mutex::new(Sets {
                used: FIRST,
                ..Sets::default()
            }),
            count: AtomicUsize::new(0),
            overflow: [Place(0); BLOCKS.len()],
        };
        table.store(1, unix_nanos());
        let mut overflow = table.overflow;
        for (place, block) in overflow.iter_mut().zip(BLOCKS) {
            let text: &[u8] = match block {
                Block::Process => b"",
                Block::Failure => FAILED,
                _ => OVERFLOW,
            };
            let mut sets = lock(&table.sets);
            *place = table.append(&mut sets, block, text).unwrap_or(Place(0));
        }
        table.overflow = overflow;
        // Whoever reads sees all of this or nothing.
        if let Some(word) = table.word(0) {
            word.store(MAGIC, Ordering::Release);
        }
        table
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        self.words.as_ref()?.words().get(index)
    }

    fn store(&self, index: usize, value: u64) {
        if let Some(word) = self.word(index) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Numbers of a set of attributes, or those for all that found no room.
    pub(crate) fn place(&self, block: Block, key: &[u8], trust: Trust) -> Place {
        KNOWN.with_borrow_mut(|known| {
            if known.table != self.id {
                *known = Known {
                    table: self.id,
                    places: HashMap::new(),
                };
            }
            if let Some(place) = known.places.get(key) {
                return *place;
            }
            self.look_up(known, block, key, trust)
        })
    }

    /// A set that this thread does not know (yet).
    fn look_up(&self, known: &mut Known, block: Block, key: &[u8], trust: Trust) -> Place {
        let limit = match trust {
            Trust::Served => SETS,
            Trust::Failed => FAILED_SETS,
        };
        let count = self.count.load(Ordering::Acquire);
        if count >= limit && known.places.len() == count {
            return self.lost(block);
        }
        let mut sets = lock(&self.sets);
        if !sets.places.contains_key(key) && sets.in_order.len() < limit {
            // The block is part of the key; the file has it apart from the attributes.
            if let Some(place) = self.append(&mut sets, block, key.get(1..).unwrap_or_default()) {
                let key = Key::from(key);
                sets.places.insert(Arc::clone(&key), place);
                sets.in_order.push((key, place));
                self.count.store(sets.in_order.len(), Ordering::Release);
            }
        }
        for (key, place) in sets.in_order.iter().skip(known.places.len()) {
            known.places.insert(Arc::clone(key), *place);
        }
        drop(sets);
        known
            .places
            .get(key)
            .copied()
            .unwrap_or_else(|| self.lost(block))
    }

    fn lost(&self, block: Block) -> Place {
        self.count(Event::SeriesLost);
        self.overflow
            .get(block as usize)
            .copied()
            .unwrap_or(Place(0))
    }

    /// Adds an entry; `None` when the memory is full.
    fn append(&self, sets: &mut Sets, block: Block, text: &[u8]) -> Option<Place> {
        let start = sets.used;
        let numbers = start + 1 + text.len().div_ceil(8);
        let end = numbers + block.words();
        if end > WORDS {
            return None;
        }
        self.store(start, block as u64 | (text.len() as u64) << 8);
        for (index, chunk) in text.chunks(8).enumerate() {
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.store(start + 1 + index, u64::from_le_bytes(bytes));
        }
        sets.used = end;
        self.word(USED)?.store(end as u64, Ordering::Release);
        Some(Place(numbers))
    }

    /// Adds to the member of a block at `index`: to a counter, or as an observation.
    pub(crate) fn add(&self, block: Block, place: Place, index: usize, value: u64) {
        let before: usize = block.members().iter().take(index).map(Member::words).sum();
        let Some(member) = block.members().get(index) else {
            return;
        };
        let (at, value) = (place.0 + before, value.min(LARGEST));
        let Kind::Histogram(bounds) = member.metric.kind else {
            self.bump(at, value);
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "buckets are wider than that")]
        let scaled = value as f64 * member.metric.scale;
        let bucket = bounds.partition_point(|bound| *bound < scaled);
        self.bump(at + bucket, 1);
        self.bump(at + bounds.len() + 1, value);
    }

    /// Counts an event of the process.
    pub(crate) fn count(&self, event: Event) {
        self.add(Block::Process, self.process(), event as usize, 1);
    }

    /// Sets the count of an event of the process.
    pub(crate) fn set(&self, event: Event, count: u64) {
        self.store(self.process().0 + event as usize, count);
    }

    /// Moves the gauge of requests in flight.
    pub(crate) fn in_flight(&self, step: i64) {
        // Two's complement: adding a negative step takes away.
        self.bump(self.process().0, step.cast_unsigned());
    }

    fn process(&self) -> Place {
        self.overflow.first().copied().unwrap_or(Place(FIRST))
    }

    fn bump(&self, index: usize, value: u64) {
        if index >= FIRST
            && let Some(word) = self.word(index)
        {
            word.fetch_add(value, Ordering::Relaxed);
        }
    }
}

fn map(dir: &Path) -> std::io::Result<Words> {
    MapFile::create(&dir.join(FILE), WORDS)?.map(WORDS)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
