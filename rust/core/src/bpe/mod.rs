//! OpenAI's byte-pair encodings, from tables that the build script lays out.
//!
//! Text is cut into pieces by a pattern; in each piece the adjacent pair that makes the token
//! with the lowest id is merged until none is left.

mod hash;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::LazyLock;

use regex_automata::dfa::Automaton;
use regex_automata::dfa::sparse::DFA;
use regex_automata::{Anchored, Input};

/// Longest token of any vocabulary.
const LONGEST: usize = 128;
/// The pattern whose last character belongs to the next piece.
const LEAVES_ONE: usize = 1;

/// A vocabulary.
#[derive(Debug)]
pub struct Vocabulary {
    tokens: &'static [u8],
    starts: &'static [u8],
    slots: &'static [u8],
    splitter: fn() -> Option<&'static Splitter>,
}

type Splitter = DFA<&'static [u8]>;

macro_rules! vocabulary {
    ($name:literal) => {{
        static SPLITTER: LazyLock<Option<Splitter>> = LazyLock::new(|| {
            let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".split"));
            DFA::from_bytes(bytes).ok().map(|(splitter, _)| splitter)
        });
        Vocabulary {
            tokens: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".tokens")),
            starts: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".starts")),
            slots: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".slots")),
            splitter: || SPLITTER.as_ref(),
        }
    }};
}

/// `cl100k_base`: GPT-3.5, GPT-4, embeddings.
pub static CL100K: Vocabulary = vocabulary!("cl100k");
/// `o200k_base`: GPT-4o and everything after it.
pub static O200K: Vocabulary = vocabulary!("o200k");

impl Vocabulary {
    /// Number of tokens of `text`. No text is read as a special token.
    pub fn count(&'static self, text: &str) -> u64 {
        let mut count = 0;
        self.each(text, &mut |_| count += 1);
        count
    }

    /// The tokens of `text`.
    pub fn encode(&'static self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.each(text, &mut |id| ids.push(id));
        ids
    }

    /// The bytes of a token; empty where there is none.
    pub fn token(&self, id: u32) -> &'static [u8] {
        let range = usize::try_from(id).ok().and_then(|id| {
            let (start, end) = (word(self.starts, id)?, word(self.starts, id + 1)?);
            Some(start as usize..end as usize)
        });
        range
            .and_then(|range| self.tokens.get(range))
            .unwrap_or_default()
    }

    fn each(&'static self, text: &str, sink: &mut dyn FnMut(u32)) {
        let mut merger = Merger::default();
        let mut rest = 0..text.len();
        while let Some(piece) = self.piece(text, &rest) {
            rest.start = piece.end;
            let piece = text.as_bytes().get(piece).unwrap_or_default();
            match self.id(piece) {
                Some(id) => sink(id),
                None => merger.merge(self, piece, sink),
            }
        }
    }

    /// The piece at the start of `rest`.
    fn piece(&self, text: &str, rest: &Range<usize>) -> Option<Range<usize>> {
        if rest.is_empty() {
            return None;
        }
        let input = Input::new(text).range(rest.clone()).anchored(Anchored::Yes);
        let found = (self.splitter)()?.try_search_fwd(&input).ok()?;
        // Every text starts with a piece; without one the rest would be lost.
        let Some(found) = found.filter(|found| found.offset() > rest.start) else {
            return Some(rest.clone());
        };
        let mut end = found.offset();
        if found.pattern().as_usize() == LEAVES_ONE {
            let last = text
                .get(rest.start..end)
                .and_then(|piece| piece.chars().next_back());
            end -= last.map_or(0, char::len_utf8);
        }
        Some(rest.start..end)
    }

    fn id(&self, token: &[u8]) -> Option<u32> {
        if token.len() > LONGEST {
            return None;
        }
        let mask = (self.slots.len() / 4).checked_sub(1)?;
        let (mut slot, tag) = hash::place(token, mask);
        loop {
            let found = word(self.slots, slot)?;
            if found == 0 {
                return None;
            }
            let id = (found & 0x3_ffff) - 1;
            if found >> 18 == tag && self.token(id) == token {
                return Some(id);
            }
            slot = (slot + 1) & mask;
        }
    }
}

fn word(table: &[u8], index: usize) -> Option<u32> {
    let bytes = table.get(index * 4..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Merges the bytes of one piece after the other; kept for its memory.
#[derive(Default)]
struct Merger {
    /// One for each byte.
    parts: Vec<Part>,
    /// Possible merges, see [`Merge`].
    merges: BinaryHeap<Reverse<Merge>>,
}

/// A part of a piece, at the place of its first byte.
#[derive(Clone, Copy)]
struct Part {
    /// Where the part before it starts.
    before: u32,
    /// Where it ends; 0 once it is merged into the part before it.
    end: u32,
}

/// A possible merge, in one word, because long pieces have many: 18 bits of id, 32 of place, 8 of
/// length. The order is that of merging: lowest token first, then from the left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Merge(u64);

impl Merge {
    fn new(id: u32, start: u32, end: u32) -> Self {
        Self(u64::from(id) << 40 | u64::from(start) << 8 | u64::from(end - start))
    }

    fn start(self) -> u32 {
        u32::try_from(self.0 >> 8 & 0xffff_ffff).unwrap_or_default()
    }

    fn end(self) -> u32 {
        self.start() + u32::try_from(self.0 & 0xff).unwrap_or_default()
    }
}

impl Merger {
    fn merge(&mut self, vocabulary: &Vocabulary, piece: &[u8], sink: &mut dyn FnMut(u32)) {
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let single = |at: u32| Part {
            before: at.saturating_sub(1),
            end: at + 1,
        };
        self.parts.clear();
        self.parts.extend((0..length).map(single));
        for at in 0..length {
            self.offer(vocabulary, piece, at);
        }
        while let Some(Reverse(merge)) = self.merges.pop() {
            self.join(vocabulary, piece, merge);
        }
        let mut at = 0;
        while let Some(end) = self.end(at) {
            let token = piece.get(at as usize..end as usize).unwrap_or_default();
            // Every byte is a token, and merges only make tokens.
            if let Some(id) = vocabulary.id(token) {
                sink(id);
            }
            at = end;
        }
    }

    /// Where the part that starts here ends.
    fn end(&self, at: u32) -> Option<u32> {
        let part = self.parts.get(at as usize)?;
        (part.end > 0).then_some(part.end)
    }

    /// Notes the merge of the part at `at` with the next one, if it makes a token.
    fn offer(&mut self, vocabulary: &Vocabulary, piece: &[u8], at: u32) {
        let Some(end) = self.end(at).and_then(|middle| self.end(middle)) else {
            return;
        };
        let pair = piece.get(at as usize..end as usize).unwrap_or_default();
        if let Some(id) = vocabulary.id(pair) {
            self.merges.push(Reverse(Merge::new(id, at, end)));
        }
    }

    /// Merges two parts, unless one of them was merged with another part before.
    fn join(&mut self, vocabulary: &Vocabulary, piece: &[u8], merge: Merge) {
        let (start, end) = (merge.start(), merge.end());
        let Some(middle) = self.end(start).filter(|at| self.end(*at) == Some(end)) else {
            return;
        };
        let mut before = start;
        if let Some(part) = self.parts.get_mut(start as usize) {
            part.end = end;
            before = part.before;
        }
        if let Some(part) = self.parts.get_mut(middle as usize) {
            part.end = 0;
        }
        if let Some(part) = self.parts.get_mut(end as usize) {
            part.before = start;
        }
        self.offer(vocabulary, piece, start);
        if before < start {
            self.offer(vocabulary, piece, before);
        }
    }
}
