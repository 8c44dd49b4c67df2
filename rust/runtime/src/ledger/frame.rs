//! Frames of the ledger's files: length and CRC32C around a payload.
//!
//! ```text
//! magic (4) | payload length (4) | CRC32C of all that follows and the length (4) | kind (4) | id (16) | payload
//! ```
//!
//! Numbers are little-endian. The magic is there to find the next frame behind a damaged one.

use std::io::{self, Read};

/// Bytes before the payload.
pub(crate) const HEADER: usize = 32;
/// Longer payloads are not written and not believed.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;
const MAGIC: [u8; 4] = *b"\xA1gw\x1F";
const READ_SIZE: usize = 256 << 10;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A usage record.
    Record,
    /// Records or rollups that are gone.
    Loss,
    /// A row of a rollup.
    Row,
    /// What a rollup is about.
    Summary,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Record, Self::Loss, Self::Row, Self::Summary];

    fn number(self) -> u32 {
        match self {
            Self::Record => 1,
            Self::Loss => 2,
            Self::Row => 3,
            Self::Summary => 4,
        }
    }

    fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// A frame that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: u128,
    pub(crate) payload: &'a [u8],
}

/// CRC32C of what a frame says.
pub(crate) fn checksum(kind: Kind, id: u128, payload: &[u8]) -> u32 {
    let mut head = [0; 24];
    let numbers = length_of(payload).to_le_bytes().into_iter();
    let numbers = numbers.chain(kind.number().to_le_bytes());
    for (to, from) in head.iter_mut().zip(numbers.chain(id.to_le_bytes())) {
        *to = from;
    }
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// Appends a frame.
pub(crate) fn append(out: &mut Vec<u8>, kind: Kind, id: u128, payload: &[u8]) {
    append_checked(out, kind, id, payload, checksum(kind, id, payload));
}

/// Appends a frame whose checksum is known.
pub(crate) fn append_checked(out: &mut Vec<u8>, kind: Kind, id: u128, payload: &[u8], crc: u32) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&length_of(payload).to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&kind.number().to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(payload);
}

fn length_of(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

/// What stands at a place.
enum Found<'a> {
    Frame(Frame<'a>),
    /// The bytes do not reach as far as the frame says.
    Short,
    Nothing,
}

fn look(bytes: &[u8]) -> Found<'_> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let begin = bytes
        .get(..MAGIC.len().min(bytes.len()))
        .unwrap_or_default();
    if !MAGIC.starts_with(begin) {
        return Found::Nothing;
    }
    let (Some(length), Some(crc), Some(kind), Some(id)) =
        (number(4), number(8), number(12), bytes.get(16..HEADER))
    else {
        return Found::Short;
    };
    let (Some(kind), Ok(id)) = (Kind::of(kind), id.try_into()) else {
        return Found::Nothing;
    };
    let Some(length) = usize::try_from(length).ok().filter(|n| *n <= MAX_PAYLOAD) else {
        return Found::Nothing;
    };
    let Some(payload) = bytes.get(HEADER..HEADER + length) else {
        return Found::Short;
    };
    let id = u128::from_le_bytes(id);
    if checksum(kind, id, payload) != crc {
        return Found::Nothing;
    }
    Found::Frame(Frame { kind, id, payload })
}

/// Frames of a file, one after the other. Damaged parts are skipped and counted; a torn end is
/// left alone: somebody may be writing it.
pub(crate) struct Frames<R> {
    source: R,
    buffer: Vec<u8>,
    /// Start of what is not looked at, in the buffer and in the file.
    from: usize,
    position: u64,
    /// End of the last good frame.
    good: u64,
    damaged: u64,
    exhausted: bool,
}

impl<R: Read> Frames<R> {
    /// Frames of `source`, which stands at `position` of its file.
    pub(crate) fn new(source: R, position: u64) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            from: 0,
            position,
            good: position,
            damaged: 0,
            exhausted: false,
        }
    }

    /// The next good frame.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let (kind, id, length) = loop {
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            if rest.is_empty() {
                if !self.fill()? {
                    return Ok(None);
                }
                continue;
            }
            let is_short = match look(rest) {
                Found::Frame(frame) => break (frame.kind, frame.id, frame.payload.len()),
                Found::Short => true,
                Found::Nothing => false,
            };
            if !(is_short && self.fill()?) {
                self.skip();
            }
        };
        let start = self.from + HEADER;
        self.damaged += self.position - self.good;
        self.advance(HEADER + length);
        self.good = self.position;
        let payload = self.buffer.get(start..start + length);
        let payload = payload.unwrap_or_default();
        Ok(Some(Frame { kind, id, payload }))
    }

    /// End of the last good frame in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.good
    }

    /// Bytes between good frames that are none.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Bytes behind the last good frame, once all is read.
    pub(crate) fn torn(&self) -> u64 {
        self.position - self.good
    }

    /// Goes on to the next place where a frame may begin.
    fn skip(&mut self) {
        let rest = self.buffer.get(self.from + 1..).unwrap_or_default();
        let next = rest.iter().position(|byte| Some(byte) == MAGIC.first());
        self.advance(1 + next.unwrap_or(rest.len()));
    }

    fn advance(&mut self, count: usize) {
        self.from += count;
        self.position += count as u64;
    }

    /// Reads more; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.exhausted {
            return Ok(false);
        }
        self.buffer.drain(..self.from.min(self.buffer.len()));
        self.from = 0;
        let mut more = self.source.by_ref().take(READ_SIZE as u64);
        self.exhausted = more.read_to_end(&mut self.buffer)? == 0;
        Ok(!self.exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<u128>, u64, u64) {
        let mut frames = Frames::new(bytes, 0);
        let mut ids = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            assert_eq!(frame.payload, frame.id.to_string().as_bytes());
            ids.push(frame.id);
        }
        (ids, frames.damaged(), frames.torn())
    }

    fn written(count: u128) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for id in 0..count {
            append(&mut bytes, Kind::Record, id, id.to_string().as_bytes());
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_every_whole_frame() {
        let (bytes, ends) = written(5);
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (ids, damaged, torn) = read(&bytes[..cut]);
            assert_eq!(ids, (0..whole as u128).collect::<Vec<_>>());
            let end = whole.checked_sub(1).map_or(0, |last| ends[last]);
            assert_eq!((damaged, torn), (0, (cut - end) as u64));
        }
    }

    #[test]
    fn a_changed_byte_costs_its_frame_and_no_other() {
        let (bytes, ends) = written(4);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x41;
            let hit = ends.iter().filter(|end| **end <= at).count() as u128;
            let (ids, damaged, torn) = read(&bytes);
            assert_eq!(ids, (0..4).filter(|id| *id != hit).collect::<Vec<_>>());
            assert!(damaged + torn > 0);
        }
    }
}
