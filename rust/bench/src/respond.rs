//! `respond`: an HTTP/1.1 provider on loopback that costs as little CPU as it can.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::body::{Framing, MalformedMessage, Progress};
use crate::print_line;
use crate::replies::{Replies, Reply, Sizes, Stream};

const MAX_HEADERS: usize = 64;
const READ_BYTES: usize = 32 * 1024;

/// Options of `respond`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Loopback port to listen on; 0 takes a free one and prints it
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Bytes of an unary chat completions or messages answer
    #[arg(long, default_value_t = 1024)]
    reply_bytes: usize,
    /// Bytes of an unary Converse answer
    #[arg(long, default_value_t = 16 * 1024)]
    converse_bytes: usize,
    /// Text events of a stream
    #[arg(long, default_value_t = 50)]
    chunks: u32,
    /// Microseconds between two text events; timers tick once a millisecond
    #[arg(long, default_value_t = 10_000)]
    interval_us: u64,
}

/// What every connection needs.
struct Provider {
    replies: Replies,
    chunks: u32,
    interval: Duration,
}

/// Serves until the process is ended.
///
/// Prints `{"listening": PORT}` once connections are accepted.
pub(crate) async fn serve(options: &Options) -> io::Result<()> {
    let provider = Arc::new(Provider {
        replies: Replies::new(Sizes {
            document: options.reply_bytes,
            converse: options.converse_bytes,
        })?,
        chunks: options.chunks,
        interval: Duration::from_micros(options.interval_us),
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    print_line(&serde_json::json!({"listening": listener.local_addr()?.port()}))?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let provider = Arc::clone(&provider);
        // A broken connection is the peer's affair; the load generator reports what it saw.
        tokio::spawn(async move { provider.answer_all(stream).await });
    }
}

impl Provider {
    async fn answer_all(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        while let Some((path, body)) = read_request(&mut stream, &mut input).await? {
            match self.replies.choose(&path, &body) {
                Reply::Unary(wire) => stream.write_all(wire).await?,
                Reply::Stream(pieces) => self.pace(&mut stream, &mut input, pieces).await?,
            }
        }
        Ok(())
    }

    /// Sends a stream piece by piece, each at its own time from the start.
    async fn pace(
        &self,
        stream: &mut TcpStream,
        input: &mut BytesMut,
        pieces: &Stream,
    ) -> io::Result<()> {
        let start = Instant::now();
        stream.write_all(&pieces.open).await?;
        for number in 1..=self.chunks {
            wait_connected(stream, input, start + self.interval * number).await?;
            stream.write_all(&pieces.piece).await?;
        }
        stream.write_all(&pieces.close).await
    }
}

/// Sleeps until `due`, and fails at once when the peer leaves before that.
async fn wait_connected(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    due: Instant,
) -> io::Result<()> {
    loop {
        tokio::select! {
            () = sleep_until(due) => return Ok(()),
            read = stream.read_buf(input) => if read? == 0 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            },
        }
    }
}

/// The next request's path and body; `None` when the peer has finished.
async fn read_request(
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (path, mut framing) = loop {
        if let Some(head) = parse_head(input).map_err(io::Error::other)? {
            break head;
        }
        input.reserve(READ_BYTES);
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = Vec::new();
    loop {
        let progress = framing
            .advance(input, &mut |bytes| body.extend_from_slice(bytes))
            .map_err(io::Error::other)?;
        if progress == Progress::Complete {
            return Ok(Some((path, body)));
        }
        input.reserve(READ_BYTES);
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

/// Takes a request head off `input`, once it is there in full.
fn parse_head(input: &mut BytesMut) -> Result<Option<(Vec<u8>, Framing)>, MalformedMessage> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let status = request
        .parse(input)
        .map_err(|_| MalformedMessage("request head"))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let path = request.path.unwrap_or_default().as_bytes().to_vec();
    let framing = Framing::of(request.headers, Framing::Length(0));
    input.advance(length);
    Ok(Some((path, framing)))
}
