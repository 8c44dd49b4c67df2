//! Requests in flight, in shared memory: opened at dispatch, kept up to date, survives SIGKILL.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aigw_core::usage::Usage;

use crate::mapping::{MapFile, Words, words_of};

/// Slots of one process.
const SLOTS: usize = 4096;
/// Words of one slot: state, id (2), start, usage (6), texts.
const WORDS: usize = 128;
const MODEL: std::ops::Range<usize> = 10..26;
const BACKEND: std::ops::Range<usize> = 26..58;
const ROUTED_MODEL: std::ops::Range<usize> = 58..74;
const OPERATION: std::ops::Range<usize> = 74..78;
const GATEWAY: std::ops::Range<usize> = 78..94;
const CLIENT: std::ops::Range<usize> = 94..126;
/// How the latest attempt ended, and its price.
const END: usize = 126;
const PRICE: usize = 127;
/// Marks an unknown counter.
const UNKNOWN: u64 = u64::MAX;

/// The table of one process, `inflight-<name>.map` in the runtime directory.
pub struct InFlight {
    words: Option<Words>,
    hint: AtomicUsize,
    overflow: AtomicU64,
    file: Option<MapFile>,
}

/// What recovery finds in an open slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSlot {
    /// Request id.
    pub id: u128,
    /// Nanoseconds since the Unix epoch.
    pub started_at: u64,
    /// Totals reported so far.
    pub usage: Usage,
    /// Requested model. All texts are cut to their space.
    pub model: String,
    /// Backend name of the latest attempt.
    pub backend: String,
    /// Model that its provider was asked for.
    pub routed_model: String,
    /// Endpoint operation.
    pub operation: String,
    /// `<ns>/<gateway>`.
    pub gateway: String,
    /// Who asks, as JSON; empty where it is not known or too long.
    pub client: String,
    /// Set when the latest attempt's reply came to its end.
    pub completed: Option<Completed>,
}

/// What is known of an attempt whose reply came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Status of the reply.
    pub status: u16,
    /// There are estimates in its usage.
    pub estimated: bool,
    /// Price of its usage, where it is known.
    pub pico_usd: Option<u64>,
}

/// What is known of a request before its first attempt.
pub(crate) struct Description<'a> {
    pub(crate) operation: &'a str,
    /// `<ns>/<gateway>`.
    pub(crate) gateway: &'a str,
    pub(crate) client: Client<'a>,
}

/// Who asks, as it is kept in a slot.
#[derive(serde::Serialize)]
pub(crate) struct Client<'a> {
    /// Client id that the gateway verified.
    pub(crate) identity: Option<&'a str>,
    /// Mapped request headers.
    pub(crate) attributes: &'a BTreeMap<String, String>,
}

/// A slot index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

impl InFlight {
    /// `name` is this process's own, also after a restart with the same process id.
    pub(crate) fn create(dir: &Path, name: &str) -> Self {
        let size = SLOTS * WORDS;
        let file = MapFile::create(&dir.join(format!("inflight-{name}.map")), size).ok();
        let mapped = file.as_ref().and_then(|file| file.map(size).ok());
        // A read-only directory costs crash recovery, not service.
        let words = mapped.or_else(|| Words::anonymous(size).ok());
        Self {
            words,
            hint: AtomicUsize::new(0),
            overflow: AtomicU64::new(0),
            file,
        }
    }

    fn slot(&self, slot: Slot) -> Option<&[AtomicU64]> {
        self.words
            .as_ref()?
            .words()
            .get(slot.0 * WORDS..(slot.0 + 1) * WORDS)
    }

    /// Opens a slot; `None` and a count when all are taken.
    pub(crate) fn open(&self, id: u128, started_at: u64, model: &str) -> Option<Slot> {
        let from = self.hint.fetch_add(1, Ordering::Relaxed);
        for step in 0..SLOTS {
            let slot = Slot((from + step) % SLOTS);
            let words = self.slot(slot)?;
            let state = words.first()?;
            if state
                .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            #[expect(clippy::cast_possible_truncation, reason = "the two halves of the id")]
            let halves = [id as u64, (id >> 64) as u64];
            for (word, value) in words.iter().skip(1).zip([halves[0], halves[1], started_at]) {
                word.store(value, Ordering::Relaxed);
            }
            store_usage(words, &Usage::default());
            store_text(words, MODEL, model);
            for text in [BACKEND, ROUTED_MODEL, OPERATION, GATEWAY, CLIENT] {
                store_text(words, text, "");
            }
            store(words, END, UNKNOWN);
            // Only now is the slot worth recovering.
            state.store(2, Ordering::Release);
            return Some(slot);
        }
        self.overflow.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// What a request is, and whose. Of the client nothing is kept that does not fit.
    pub(crate) fn describe(&self, slot: Slot, request: &Description<'_>) {
        let Some(words) = self.slot(slot) else {
            return;
        };
        store_text(words, OPERATION, request.operation);
        store_text(words, GATEWAY, request.gateway);
        let client = &request.client;
        if client.identity.is_some() || !client.attributes.is_empty() {
            let text = serde_json::to_string(client).unwrap_or_default();
            if text.len() <= CLIENT.len() * 8 {
                store_text(words, CLIENT, &text);
            }
        }
    }

    /// Where an attempt goes.
    pub(crate) fn set_backend(&self, slot: Slot, backend: &str, routed_model: &str) {
        if let Some(words) = self.slot(slot) {
            store_text(words, BACKEND, backend);
            store_text(words, ROUTED_MODEL, routed_model);
            store(words, END, UNKNOWN);
        }
    }

    /// The reply of the attempt came to its end: what is in the slot is all there is.
    pub(crate) fn set_completed(&self, slot: Slot, end: &Completed) {
        if let Some(words) = self.slot(slot) {
            store(words, PRICE, end.pico_usd.unwrap_or(UNKNOWN));
            let marks = u64::from(end.status) | (u64::from(end.estimated) << 16);
            if let Some(word) = words.get(END) {
                word.store(marks, Ordering::Release);
            }
        }
    }

    pub(crate) fn set_usage(&self, slot: Slot, usage: &Usage) {
        if let Some(words) = self.slot(slot) {
            store_usage(words, usage);
        }
    }

    pub(crate) fn close(&self, slot: Slot) {
        if let Some(state) = self.slot(slot).and_then(<[AtomicU64]>::first) {
            state.store(0, Ordering::Release);
            // The slot is still in the processor's cache: take it again first.
            self.hint.store(slot.0, Ordering::Relaxed);
        }
    }

    /// Open slots.
    pub fn open_slots(&self) -> Vec<OpenSlot> {
        self.words
            .as_ref()
            .map(|words| read_open(words.words()))
            .unwrap_or_default()
    }

    /// Requests that found no slot: they are served, but a crash would lose them.
    pub fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // A clean end leaves nothing to recover.
        if let Some(file) = &self.file
            && self.open_slots().is_empty()
        {
            file.remove();
        }
    }
}

/// Open slots in the table of a process that is gone.
///
/// # Errors
/// When the file cannot be read.
pub fn recover(path: &Path) -> std::io::Result<Vec<OpenSlot>> {
    Ok(read_open(&words_of(&std::fs::read(path)?)))
}

fn read_open(words: &[AtomicU64]) -> Vec<OpenSlot> {
    words.chunks_exact(WORDS).filter_map(read_slot).collect()
}

fn read_slot(words: &[AtomicU64]) -> Option<OpenSlot> {
    let word = |index: usize| words.get(index).map(|word| word.load(Ordering::Relaxed));
    if words.first()?.load(Ordering::Acquire) != 2 {
        return None;
    }
    let count = |index: usize| word(index).filter(|value| *value != UNKNOWN);
    Some(OpenSlot {
        id: u128::from(word(1)?) | (u128::from(word(2)?) << 64),
        started_at: word(3)?,
        usage: Usage {
            input_tokens: count(4),
            output_tokens: count(5),
            total_tokens: count(6),
            cached_input_tokens: count(7),
            cache_creation_input_tokens: count(8),
            reasoning_tokens: count(9),
        },
        model: load_text(words, MODEL),
        backend: load_text(words, BACKEND),
        routed_model: load_text(words, ROUTED_MODEL),
        operation: load_text(words, OPERATION),
        gateway: load_text(words, GATEWAY),
        client: load_text(words, CLIENT),
        completed: count(END).map(|marks| Completed {
            status: u16::try_from(marks & 0xffff).unwrap_or(0),
            estimated: marks >> 16 & 1 == 1,
            pico_usd: count(PRICE),
        }),
    })
}

fn store(words: &[AtomicU64], place: usize, value: u64) {
    if let Some(word) = words.get(place) {
        word.store(value, Ordering::Relaxed);
    }
}

fn store_usage(words: &[AtomicU64], usage: &Usage) {
    for (word, (_, value)) in words.iter().skip(4).zip(usage.fields()) {
        word.store(value.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

fn store_text(words: &[AtomicU64], range: std::ops::Range<usize>, text: &str) {
    let mut chunks = text.as_bytes().chunks(8);
    for word in words.get(range).unwrap_or_default() {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(chunks.next().unwrap_or_default()) {
            *to = *from;
        }
        word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
    }
}

fn load_text(words: &[AtomicU64], range: std::ops::Range<usize>) -> String {
    let words = words.get(range).unwrap_or_default();
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
        .collect();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_slots_are_found_again_and_closed_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let table = InFlight::create(dir.path(), "t");
        let kept = table.open(7 << 70, 5, "gpt-ü").unwrap();
        let closed = table.open(8, 6, "m").unwrap();
        table.set_backend(kept, "default/a", "gpt-x");
        let request = Description {
            operation: "chat",
            gateway: "default/g",
            client: Client {
                identity: Some("alice"),
                attributes: &BTreeMap::new(),
            },
        };
        table.describe(kept, &request);
        table.set_usage(
            kept,
            &Usage {
                output_tokens: Some(3),
                ..Usage::default()
            },
        );
        table.close(closed);
        let found = recover(&dir.path().join("inflight-t.map")).unwrap();
        assert_eq!(found, table.open_slots());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, found[0].model.as_str()), (7 << 70, "gpt-ü"));
        assert_eq!(found[0].routed_model, "gpt-x");
        assert_eq!(
            (found[0].usage.output_tokens, found[0].usage.input_tokens),
            (Some(3), None)
        );
    }

    #[test]
    fn a_full_table_refuses_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let table = InFlight::create(dir.path(), "t");
        for id in 0..SLOTS as u128 {
            assert!(table.open(id, 0, "").is_some());
        }
        assert!(table.open(1, 0, "").is_none());
        assert_eq!(table.overflow(), 1);
    }
}
