//! One keep-alive connection and one exchange on it.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::body::{Framing, Progress};
use crate::events::{Counter, Kind};
use crate::target::Target;

const MAX_HEADERS: usize = 64;
const READ_BYTES: usize = 32 * 1024;

/// Why an exchange has no answer. The text is the key in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection.
    #[error("connect")]
    Connect,
    /// The request could not be written, or the connection was reset.
    #[error("connection")]
    Connection,
    /// The peer closed the connection inside an answer.
    #[error("closed")]
    Closed,
    /// The answer is not HTTP/1.1.
    #[error("protocol")]
    Protocol,
    /// The answer was not complete in time.
    #[error("timeout")]
    Timeout,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// When the first byte of the answer's body was there (its head, when it has no body).
    pub(crate) first_byte: Instant,
    /// Events of a stream.
    pub(crate) events: Counter,
}

/// The head of an answer.
#[derive(Debug)]
struct Head {
    status: u16,
    framing: Framing,
    kind: Kind,
    closes: bool,
}

/// A connection that is opened when it is first needed and again when the peer closed it.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    stream: Option<TcpStream>,
    input: BytesMut,
    /// Connections opened beyond the first.
    pub(crate) reconnects: u64,
    opened: bool,
}

impl Client {
    /// A client without a connection.
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            stream: None,
            input: BytesMut::with_capacity(READ_BYTES),
            reconnects: 0,
            opened: false,
        }
    }

    /// Opens the connection ahead of the first request, which reports the failure if there is one.
    pub(crate) async fn prepare(&mut self) {
        let _ = self.connected().await;
    }

    /// Sends the target's request and reads the whole answer.
    pub(crate) async fn exchange(&mut self) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let outcome = timeout_at(deadline, self.exchange_untimed())
            .await
            .unwrap_or(Err(Failure::Timeout));
        if outcome.is_err() {
            self.stream = None;
        }
        outcome
    }

    /// Sends the request and reads until the first byte of the body is there.
    ///
    /// The connection stays open with the rest of the answer unread.
    pub(crate) async fn begin(&mut self) -> Result<u16, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let begun = async {
            let head = self.send().await?;
            if self.input.is_empty() {
                self.fill().await?;
            }
            Ok(head.status)
        };
        timeout_at(deadline, begun)
            .await
            .unwrap_or(Err(Failure::Timeout))
    }

    async fn exchange_untimed(&mut self) -> Result<Answer, Failure> {
        let head = self.send().await?;
        let mut framing = head.framing;
        let mut events = Counter::new(head.kind);
        let mut first_byte = (!self.input.is_empty()).then(Instant::now);
        loop {
            let progress = framing
                .advance(&mut self.input, &mut |bytes| events.feed(bytes))
                .map_err(|_| Failure::Protocol)?;
            if progress == Progress::Complete {
                break;
            }
            match self.fill().await {
                Ok(()) => first_byte = first_byte.or_else(|| Some(Instant::now())),
                Err(Failure::Closed) if matches!(framing, Framing::UntilClose) => break,
                Err(failure) => return Err(failure),
            }
        }
        if head.closes {
            self.stream = None;
        }
        Ok(Answer {
            status: head.status,
            first_byte: first_byte.unwrap_or_else(Instant::now),
            events,
        })
    }

    /// Writes the request and reads the head, on a new connection if the old one had been closed.
    async fn send(&mut self) -> Result<Head, Failure> {
        let reused = self.stream.is_some();
        match self.send_once().await {
            // The peer may close an idle connection at any time; nothing was answered on it.
            Err(Failure::Closed | Failure::Connection) if reused && self.input.is_empty() => {
                self.stream = None;
                self.send_once().await
            }
            outcome => outcome,
        }
    }

    async fn send_once(&mut self) -> Result<Head, Failure> {
        let request = self.target.request.clone();
        let stream = self.connected().await?;
        stream
            .write_all(&request)
            .await
            .map_err(|_| Failure::Connection)?;
        loop {
            self.fill().await?;
            if let Some(head) = parse_head(&mut self.input)? {
                return Ok(head);
            }
        }
    }

    async fn connected(&mut self) -> Result<&mut TcpStream, Failure> {
        if self.stream.is_none() {
            let stream = connect(&self.target).await.map_err(|_| Failure::Connect)?;
            self.reconnects += u64::from(self.opened);
            self.opened = true;
            self.input.clear();
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or(Failure::Connect)
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        let stream = self.stream.as_mut().ok_or(Failure::Connect)?;
        self.input.reserve(READ_BYTES);
        match stream.read_buf(&mut self.input).await {
            Ok(0) => Err(Failure::Closed),
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::Connection),
        }
    }
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn parse_head(input: &mut BytesMut) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(input).map_err(|_| Failure::Protocol)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let value = |name: &str| {
        let mut matching = response
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        matching.next().map(|header| header.value)
    };
    let framing = Framing::of(response.headers, Framing::UntilClose);
    let closes = matches!(framing, Framing::UntilClose)
        || value("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    let head = Head {
        status: response.code.ok_or(Failure::Protocol)?,
        kind: value("content-type").map_or(Kind::Document, Kind::of),
        framing,
        closes,
    };
    input.advance(length);
    Ok(Some(head))
}
