//! AWS event stream (`application/vnd.amazon.eventstream`), checksums verified by AWS's crate.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::{HeaderValue, Message};
use flate2::Crc;

use super::{Event, EventKind};
use crate::error::{Error, Result};

/// Largest message; the format itself allows 16 MiB of payload.
const MAX_MESSAGE: usize = 17 << 20;

/// Incremental decoder. Keeps only an incomplete message.
#[derive(Default)]
pub struct EventStreamDecoder {
    pending: Vec<u8>,
}

impl EventStreamDecoder {
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(length) = self.next_length(used)? {
            let frame = self.pending.get(used..used + length).unwrap_or_default();
            let message = decode(frame)?;
            used += length;
            deliver(&message, sink)?;
        }
        self.pending.drain(..used);
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(Error::UpstreamProtocol(
            "the event stream ended inside a message".into(),
        ))
    }

    /// Length of the message at `from` when all of it is there. A corrupt length is found by
    /// its own checksum, before anything waits for bytes that never come.
    fn next_length(&self, from: usize) -> Result<Option<usize>> {
        let rest = self.pending.get(from..).unwrap_or_default();
        let Some((length, checked, checksum)) = prelude(rest) else {
            return Ok(None);
        };
        let mut crc = Crc::new();
        crc.update(checked);
        if crc.sum() != checksum {
            return Err(Error::UpstreamProtocol(
                "corrupt event stream: the checksum of a prelude is wrong".into(),
            ));
        }
        if !(16..=MAX_MESSAGE).contains(&length) {
            return Err(Error::UpstreamProtocol(
                "an event-stream message has an impossible length".into(),
            ));
        }
        Ok((rest.len() >= length).then_some(length))
    }
}

/// Length of the message, the bytes that the prelude's checksum covers, and the checksum.
fn prelude(bytes: &[u8]) -> Option<(usize, &[u8], u32)> {
    let (checked, rest) = bytes.split_at_checked(8)?;
    let length = u32::from_be_bytes(*checked.first_chunk()?) as usize;
    Some((length, checked, u32::from_be_bytes(*rest.first_chunk()?)))
}

fn decode(mut frame: &[u8]) -> Result<Message> {
    let decoded = MessageFrameDecoder::new().decode_frame(&mut frame);
    match decoded {
        Ok(DecodedFrame::Complete(message)) => Ok(message),
        Ok(DecodedFrame::Incomplete) => Err(Error::UpstreamProtocol(
            "an event-stream message is incomplete".into(),
        )),
        Err(error) => Err(Error::UpstreamProtocol(format!(
            "corrupt event stream: {error}"
        ))),
    }
}

fn deliver(message: &Message, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    let header = |name: &str| {
        message
            .headers()
            .iter()
            .find(|h| h.name().as_str() == name)
            .and_then(|h| match h.value() {
                HeaderValue::String(text) => Some(text.as_str()),
                _ => None,
            })
    };
    let kind = match header(":message-type") {
        Some("exception" | "error") => EventKind::Exception,
        _ => EventKind::Data,
    };
    let name = match kind {
        EventKind::Data => header(":event-type"),
        EventKind::Exception => header(":exception-type").or_else(|| header(":error-code")),
    };
    let name = name.unwrap_or_default();
    if kind == EventKind::Exception && message.payload().is_empty() {
        let text = header(":error-message").unwrap_or_default();
        return sink(Event {
            name,
            data: text.as_bytes(),
            kind,
        });
    }
    sink(Event {
        name,
        data: message.payload(),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::Header;

    use super::*;

    fn frame(kind: &str, name: &str, payload: &'static [u8]) -> Vec<u8> {
        let key = if kind == "event" {
            ":event-type"
        } else {
            ":exception-type"
        };
        let message = Message::new(payload)
            .add_header(Header::new(
                ":message-type",
                HeaderValue::String(kind.to_owned().into()),
            ))
            .add_header(Header::new(
                key,
                HeaderValue::String(name.to_owned().into()),
            ));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    fn decode_all(chunks: &[&[u8]]) -> Result<Vec<(String, Vec<u8>, EventKind)>> {
        let mut events = Vec::new();
        let mut decoder = EventStreamDecoder::default();
        for chunk in chunks {
            decoder.feed(chunk, &mut |event| {
                events.push((event.name.to_owned(), event.data.to_vec(), event.kind));
                Ok(())
            })?;
        }
        decoder.finish().map(|()| events)
    }

    #[test]
    fn any_split_gives_the_same_messages() {
        let mut bytes = frame("event", "messageStart", br#"{"role":"assistant"}"#);
        bytes.extend(frame(
            "exception",
            "throttlingException",
            br#"{"message":"slow"}"#,
        ));
        let whole = decode_all(&[&bytes]).unwrap();
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[1].2, EventKind::Exception);
        for size in [1, 3, 17, 64] {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(decode_all(&chunks).unwrap(), whole);
        }
    }

    #[test]
    fn corrupt_and_truncated_streams_are_errors() {
        let good = frame("event", "messageStart", b"{}");
        let mut bad = good.clone();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        assert!(decode_all(&[&bad]).is_err());
        assert!(decode_all(&[&good[..last]]).is_err());
        assert!(decode_all(&[&[0xff; 16]]).is_err());
    }

    #[test]
    fn a_corrupt_length_is_found_at_once() {
        let mut bytes = frame("event", "messageStart", b"{}");
        bytes[1] ^= 1;
        let mut decoder = EventStreamDecoder::default();
        assert!(decoder.feed(&bytes[..11], &mut |_| Ok(())).is_ok());
        assert!(decoder.feed(&bytes[11..12], &mut |_| Ok(())).is_err());
    }
}
