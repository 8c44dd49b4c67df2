//! HTTP/1.1 body framing, for both sides: where a body ends and which bytes belong to it.

use bytes::{Buf, BytesMut};

/// A peer broke the HTTP/1.1 message format.
#[derive(Debug, thiserror::Error)]
#[error("malformed HTTP/1.1 message: {0}")]
pub(crate) struct MalformedMessage(pub(crate) &'static str);

/// How the end of a body is found, with what is left to read.
#[derive(Debug)]
pub(crate) enum Framing {
    /// This many bytes remain.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked(Chunk),
    /// The connection's end is the body's end.
    UntilClose,
}

/// Position inside a chunked body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chunk {
    /// Before a chunk's size line.
    Size,
    /// This many bytes of the chunk remain.
    Data(u64),
    /// Before the line break that closes a chunk.
    Break,
    /// In the trailers, before the empty line.
    Trailers,
}

/// Whether a body needs more bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The whole body has been delivered.
    Complete,
    /// More input is needed.
    Partial,
}

impl Framing {
    /// Framing that a message's headers announce; `otherwise` holds without any announcement.
    pub(crate) fn of(headers: &[httparse::Header<'_>], otherwise: Self) -> Self {
        let mut framing = otherwise;
        for header in headers {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Self::Chunked(Chunk::Size);
            }
            if header.name.eq_ignore_ascii_case("content-length")
                && let Some(length) = parse_length(header.value)
            {
                framing = Self::Length(length);
            }
        }
        framing
    }

    /// Hands the body bytes at the front of `input` to `sink` and removes them from `input`.
    ///
    /// Bytes behind the body stay in `input`.
    pub(crate) fn advance(
        &mut self,
        input: &mut BytesMut,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<Progress, MalformedMessage> {
        match self {
            Self::Length(left) => {
                deliver(left, input, sink);
                Ok(if *left == 0 {
                    Progress::Complete
                } else {
                    Progress::Partial
                })
            }
            Self::Chunked(chunk) => advance_chunked(chunk, input, sink),
            Self::UntilClose => {
                sink(&input.split());
                Ok(Progress::Partial)
            }
        }
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// Moves up to `left` bytes from `input` to `sink`.
fn deliver(left: &mut u64, input: &mut BytesMut, sink: &mut impl FnMut(&[u8])) {
    let take = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(input.len());
    if take > 0 {
        sink(&input.split_to(take));
        *left -= take as u64;
    }
}

fn advance_chunked(
    chunk: &mut Chunk,
    input: &mut BytesMut,
    sink: &mut impl FnMut(&[u8]),
) -> Result<Progress, MalformedMessage> {
    loop {
        match chunk {
            Chunk::Size => match httparse::parse_chunk_size(input) {
                Ok(httparse::Status::Complete((line, size))) => {
                    input.advance(line);
                    *chunk = if size == 0 {
                        Chunk::Trailers
                    } else {
                        Chunk::Data(size)
                    };
                }
                Ok(httparse::Status::Partial) => return Ok(Progress::Partial),
                Err(_) => return Err(MalformedMessage("chunk size")),
            },
            Chunk::Data(left) => {
                deliver(left, input, sink);
                if *left > 0 {
                    return Ok(Progress::Partial);
                }
                *chunk = Chunk::Break;
            }
            Chunk::Break => {
                if input.len() < 2 {
                    return Ok(Progress::Partial);
                }
                input.advance(2);
                *chunk = Chunk::Size;
            }
            Chunk::Trailers => {
                let Some(end) = memchr::memmem::find(input, b"\r\n") else {
                    return Ok(Progress::Partial);
                };
                input.advance(end + 2);
                if end == 0 {
                    return Ok(Progress::Complete);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: &mut Framing, pieces: &[&[u8]]) -> (Vec<u8>, Progress, Vec<u8>) {
        let mut input = BytesMut::new();
        let mut body = Vec::new();
        let mut progress = Progress::Partial;
        for piece in pieces {
            input.extend_from_slice(piece);
            if progress == Progress::Complete {
                continue;
            }
            progress = framing
                .advance(&mut input, &mut |bytes| body.extend_from_slice(bytes))
                .unwrap();
        }
        (body, progress, input.to_vec())
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_split() {
        let wire: &[u8] = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nt: v\r\n\r\nNEXT";
        for split in 0..wire.len() {
            let (head, tail) = wire.split_at(split);
            let (body, progress, rest) = read(&mut Framing::Chunked(Chunk::Size), &[head, tail]);
            assert_eq!(body, b"hello!", "split at {split}");
            assert_eq!(progress, Progress::Complete);
            assert_eq!(rest, b"NEXT");
        }
    }

    #[test]
    fn a_body_with_a_length_leaves_what_follows() {
        let (body, progress, rest) = read(&mut Framing::Length(3), &[b"ab", b"cNEXT"]);
        assert_eq!(body, b"abc");
        assert_eq!(progress, Progress::Complete);
        assert_eq!(rest, b"NEXT");
    }

    #[test]
    fn an_invalid_chunk_size_is_an_error() {
        let mut input = BytesMut::from(&b"zz\r\n"[..]);
        let outcome = Framing::Chunked(Chunk::Size).advance(&mut input, &mut |_| ());
        assert!(outcome.is_err());
    }
}
