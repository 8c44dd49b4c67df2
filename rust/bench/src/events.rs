//! Counting the events of a stream without looking at their content.

use memchr::memmem;

/// Bytes of the body's end that are kept to recognize a stream's last event.
const TAIL: usize = 128;

/// What a response body is made of, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One document.
    Document,
    /// `text/event-stream`.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    EventStream,
}

impl Kind {
    /// Kind for a `content-type` value.
    pub(crate) fn of(content_type: &[u8]) -> Self {
        if content_type.starts_with(b"text/event-stream") {
            Self::Sse
        } else if content_type.starts_with(b"application/vnd.amazon.eventstream") {
            Self::EventStream
        } else {
            Self::Document
        }
    }
}

/// Counts the events of one body, fed in any split.
#[derive(Debug)]
pub(crate) struct Counter {
    kind: Kind,
    count: u64,
    /// SSE: the previous byte that counts was a line feed.
    line_feed: bool,
    /// Event stream: bytes until the current message ends, once its length is known.
    left: u64,
    /// Event stream: length bytes seen of the next message.
    prefix: Vec<u8>,
    tail: Vec<u8>,
}

impl Counter {
    /// A counter at the start of a body.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            count: 0,
            line_feed: false,
            left: 0,
            prefix: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        match self.kind {
            Kind::Document => {}
            Kind::Sse => self.feed_sse(bytes),
            Kind::EventStream => self.feed_messages(bytes),
        }
    }

    /// Events seen so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether the body is a stream at all.
    pub(crate) fn is_stream(&self) -> bool {
        self.kind != Kind::Document
    }

    /// Whether the stream's own end was seen: `[DONE]`, `message_stop`, or a whole last message.
    pub(crate) fn is_finished(&self) -> bool {
        match self.kind {
            Kind::Document => true,
            Kind::Sse => {
                memmem::find(&self.tail, b"[DONE]").is_some()
                    || memmem::find(&self.tail, b"message_stop").is_some()
            }
            Kind::EventStream => self.left == 0 && self.prefix.is_empty() && self.count > 0,
        }
    }

    fn feed_sse(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' if self.line_feed => {
                    self.count += 1;
                    self.line_feed = false;
                }
                b'\n' => self.line_feed = true,
                b'\r' => {}
                _ => self.line_feed = false,
            }
        }
        self.tail.extend_from_slice(bytes);
        let excess = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..excess);
    }

    fn feed_messages(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left == 0 {
                self.prefix.push(first);
                bytes = rest;
                if let Ok(length) = <[u8; 4]>::try_from(self.prefix.as_slice()) {
                    self.prefix.clear();
                    self.left = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
                }
                continue;
            }
            let have = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            bytes = bytes.get(have..).unwrap_or_default();
            self.left -= have as u64;
            if self.left == 0 {
                self.count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(kind: Kind, wire: &[u8], piece: usize) -> Counter {
        let mut counter = Counter::new(kind);
        wire.chunks(piece).for_each(|bytes| counter.feed(bytes));
        counter
    }

    #[test]
    fn sse_events_are_counted_in_any_split() {
        let wire = b"event: a\ndata: 1\n\ndata: 2\r\n\r\ndata: [DONE]\n\n";
        for piece in 1..wire.len() {
            let counter = count(Kind::Sse, wire, piece);
            assert_eq!(counter.count(), 3, "pieces of {piece}");
            assert!(counter.is_finished());
        }
    }

    #[test]
    fn an_sse_stream_without_its_last_event_is_not_finished() {
        assert!(!count(Kind::Sse, b"data: 1\n\n", 4).is_finished());
    }

    #[test]
    fn event_stream_messages_are_counted_in_any_split() {
        let mut wire = Vec::new();
        for length in [16_u32, 40, 20] {
            wire.extend_from_slice(&length.to_be_bytes());
            wire.resize(wire.len() + length as usize - 4, 7);
        }
        for piece in 1..wire.len() {
            let counter = count(Kind::EventStream, &wire, piece);
            assert_eq!(counter.count(), 3, "pieces of {piece}");
            assert!(counter.is_finished());
        }
        wire.truncate(wire.len() - 1);
        assert!(!count(Kind::EventStream, &wire, 9).is_finished());
    }
}
