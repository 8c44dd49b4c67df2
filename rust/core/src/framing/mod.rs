//! Bytes to events. The only place that knows how replies are framed.

mod encoding;
mod eventstream;
mod json;
mod sse;

pub use encoding::Unpacker;
pub use eventstream::EventStreamDecoder;
pub use json::TopLevel;
pub use sse::SseDecoder;

use crate::error::Result;

/// One decoded event of a provider stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// SSE `event:` field or `:event-type` / `:exception-type` header; empty when absent.
    pub name: &'a str,
    /// SSE data lines joined by newlines, or the message payload.
    pub data: &'a [u8],
    /// What the framing says about the event.
    pub kind: EventKind,
}

/// What the framing itself says about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An ordinary event.
    Data,
    /// An event-stream exception or error message.
    Exception,
}

/// How a provider frames a streamed reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// Server-sent events of JSON, whose `data:` may be missing.
    SseOrJson,
    /// AWS event stream.
    EventStream,
}

/// A decoder of either framing.
pub enum Decoder {
    /// Server-sent events.
    Sse(SseDecoder),
    /// AWS event stream.
    EventStream(EventStreamDecoder),
}

impl Decoder {
    /// A fresh decoder.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(SseDecoder::default()),
            Framing::SseOrJson => Self::Sse(SseDecoder::of_bare_json()),
            Framing::EventStream => Self::EventStream(EventStreamDecoder::default()),
        }
    }

    /// Feeds bytes; `sink` gets every event that is complete.
    ///
    /// # Errors
    /// Broken framing, or what `sink` returns.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Sse(decoder) => decoder.feed(bytes, sink),
            Self::EventStream(decoder) => decoder.feed(bytes, sink),
        }
    }

    /// The end of the stream: a last unterminated event is delivered, half a message is an error.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        match self {
            Self::Sse(decoder) => decoder.finish(sink),
            Self::EventStream(decoder) => decoder.finish(),
        }
    }
}
