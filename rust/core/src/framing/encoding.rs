//! Content encodings of replies, undone as the bytes come.

use std::io::Write;

use brotli_decompressor::DecompressorWriter;
use flate2::write::MultiGzDecoder;

use crate::error::{Error, Result};
use crate::headers::Headers;

const BROTLI_BUFFER: usize = 4096;
const GZIP_MAGIC: u8 = 0x1f;
/// A brotli stream has told by then whether it is one.
const BROTLI_DOUBT: usize = 64 << 10;

/// Undoes `gzip` or `br`, chunk by chunk. Plain bytes under such a label go through: some
/// servers send those.
pub struct Unpacker {
    state: State,
    limit: usize,
}

enum State {
    /// Labelled gzip, nothing seen yet.
    Unsure,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Brotli(Box<Brotli>),
    Plain,
}

struct Brotli {
    decoder: DecompressorWriter<Vec<u8>>,
    /// What came in, as long as it may turn out to be no brotli.
    unread: Option<Vec<u8>>,
}

impl Brotli {
    fn new() -> Self {
        Self {
            decoder: DecompressorWriter::new(Vec::new(), BROTLI_BUFFER),
            unread: Some(Vec::new()),
        }
    }

    /// The plain bytes of `part`. An error has the bytes so far when they are no brotli.
    ///
    /// When the decoder notices an error, and what it gives out before, depends on its pieces. So
    /// as long as there is doubt it gets one byte at a time, and whether this is brotli is the same
    /// for every split. Beyond that a corrupt stream, which has no checksum, may be noticed in one
    /// split and not in another: single bytes throughout would cost too much.
    fn feed(&mut self, mut part: &[u8]) -> Result<Vec<u8>, Option<Vec<u8>>> {
        while let (Some(unread), Some((byte, rest))) = (&mut self.unread, part.split_first()) {
            unread.push(*byte);
            if write(&mut self.decoder, &[*byte]).is_err() {
                unread.extend_from_slice(rest);
                return Err(self.unread.take());
            }
            part = rest;
            if !self.decoder.get_mut().is_empty() || unread.len() == BROTLI_DOUBT {
                self.unread = None;
            }
        }
        write(&mut self.decoder, part).map_err(|_| None)?;
        Ok(std::mem::take(self.decoder.get_mut()))
    }
}

/// Unpacks `part` and all that the decoder has: where its buffer was full, it keeps the rest for
/// the next call.
fn write(decoder: &mut DecompressorWriter<Vec<u8>>, part: &[u8]) -> std::io::Result<()> {
    decoder.write_all(part)?;
    loop {
        let before = decoder.get_mut().len();
        let _taken = decoder.write(&[])?;
        if decoder.get_mut().len() == before {
            return decoder.flush();
        }
    }
}

impl Unpacker {
    /// An unpacker for what `content-encoding` says; `None` for plain and unknown encodings.
    /// `limit` bounds the output of one chunk in bytes.
    pub fn new(headers: &Headers, limit: u64) -> Option<Self> {
        let name = headers
            .get_str("content-encoding")?
            .trim()
            .to_ascii_lowercase();
        let state = match name.as_str() {
            "gzip" | "x-gzip" => State::Unsure,
            "br" => State::Brotli(Box::new(Brotli::new())),
            _ => return None,
        };
        Some(Self {
            state,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }

    /// The plain bytes of the next chunk.
    ///
    /// # Errors
    /// [`Error::UpstreamProtocol`] for corrupt data or output beyond the limit.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<u8>> {
        if let (State::Unsure, Some(first)) = (&self.state, chunk.first()) {
            self.state = match *first {
                GZIP_MAGIC => State::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
                _ => State::Plain,
            };
        }
        let mut plain = Vec::new();
        // Small steps, so that a tiny chunk cannot become gigabytes before it is noticed.
        for part in chunk.chunks(BROTLI_BUFFER) {
            match &mut self.state {
                State::Unsure => {}
                State::Plain => plain.extend_from_slice(part),
                State::Gzip(decoder) => {
                    decoder
                        .write_all(part)
                        .and_then(|()| decoder.flush())
                        .map_err(|_| corrupt())?;
                    plain.append(decoder.get_mut());
                }
                State::Brotli(decoder) => match decoder.feed(part) {
                    Ok(mut unpacked) => plain.append(&mut unpacked),
                    Err(None) => return Err(corrupt()),
                    Err(Some(mut bytes)) => {
                        plain.append(&mut bytes);
                        self.state = State::Plain;
                    }
                },
            }
            if plain.len() > self.limit {
                return Err(Error::UpstreamProtocol(
                    "the unpacked reply is too large".into(),
                ));
            }
        }
        Ok(plain)
    }
}

fn corrupt() -> Error {
    Error::UpstreamProtocol("the compressed reply is corrupt".into())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn unpacker(encoding: &str) -> Unpacker {
        let headers: Headers = [("content-encoding", encoding)].into_iter().collect();
        Unpacker::new(&headers, 1 << 20).unwrap()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_split_gives_the_same_bytes() {
        let packed = gzip(b"data: {\"a\":1}\n\n");
        for size in [1, 3, 1000] {
            let mut unpacker = unpacker("GZIP");
            let plain: Vec<u8> = packed
                .chunks(size)
                .flat_map(|chunk| unpacker.feed(chunk).unwrap())
                .collect();
            assert_eq!(plain, b"data: {\"a\":1}\n\n");
        }
    }

    #[test]
    fn output_that_fills_the_buffer_of_brotli_does_not_wait() {
        // Repeats one letter some thousand times, and ends early.
        let packed = b"\x1f\x8b\x28\x00\x24\xf0\x2a\x17\xf8\xe2\x00\x00\x00\xf8\x00\x00\x00";
        for size in 1..=packed.len() {
            let mut unpacker = unpacker("br");
            let chunks = packed.chunks(size);
            let plain: usize = chunks.map(|c| unpacker.feed(c).unwrap().len()).sum();
            assert_eq!(plain, 6436, "{size}");
        }
    }

    #[test]
    fn plain_bytes_under_a_label_pass() {
        for label in ["gzip", "br"] {
            for text in [
                "{}",
                "data: {\"a\":1}\n\n",
                "{\"error\":{\"message\":\"x\"}}",
                "<h1>",
            ] {
                for size in [1, 1000] {
                    let mut unpacker = unpacker(label);
                    let chunks = text.as_bytes().chunks(size);
                    let plain: Vec<u8> = chunks.flat_map(|c| unpacker.feed(c).unwrap()).collect();
                    assert_eq!(String::from_utf8(plain).unwrap(), text, "{label}");
                }
            }
        }
    }

    #[test]
    fn gzip_may_come_in_several_members() {
        let packed = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        assert_eq!(unpacker("gzip").feed(&packed).unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn corrupt_bytes_and_bombs_are_errors() {
        assert!(unpacker("gzip").feed(b"\x1f\x8bnonsense").is_err());
        let bomb = gzip(&vec![0; 3 << 20]);
        assert!(unpacker("gzip").feed(&bomb).is_err());
    }

    #[test]
    fn other_encodings_are_left_alone() {
        let headers: Headers = [("content-encoding", "zstd")].into_iter().collect();
        assert!(Unpacker::new(&headers, 1).is_none());
    }
}
