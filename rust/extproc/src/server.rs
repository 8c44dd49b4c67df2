//! The native transport: tonic on a Unix socket, in threads of its own.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{ClientStreamingService, Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use crate::codec::RawCodec;
use crate::connection::Replies;
use crate::health::{self, Check};
use crate::session::{Host, Role};
use crate::{GATEWAY_HEADER, LOG_SERVICE, MAX_MESSAGE_BYTES, ROLE_HEADER, SERVICE};

/// A large prompt must not wait for window updates.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 128 << 20;
/// The peer is our own Envoy, and every request holds two streams.
const MAX_STREAMS: u32 = 1 << 20;
/// Envoy resets a stream whenever a client goes away: no attack.
const MAX_RESETS: usize = 1 << 20;
/// How long threads may take to end after the streams are gone.
const JOIN: Duration = Duration::from_secs(1);
/// How often a server that stops looks whether all records are written.
const LOOK: Duration = Duration::from_millis(5);
/// The first entry of an access log, whose stream is not open before, comes within this time.
const FIRST_LOG: Duration = Duration::from_millis(200);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Path of the Unix socket; a stale file is replaced.
    pub socket: PathBuf,
    /// Worker threads, at least one.
    pub threads: usize,
}

/// A running server. Dropping it stops it at once.
pub struct Server {
    serving: Arc<AtomicBool>,
    socket: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    host: Arc<Host>,
    runtime: tokio::runtime::Runtime,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
    shutdown: oneshot::Sender<()>,
    logs: Logs,
}

/// The streams of the access log, which Envoy keeps open.
struct Logs {
    end: watch::Sender<bool>,
    /// How many there are.
    open: Arc<AtomicUsize>,
}

impl Logs {
    fn are_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }
}

impl Server {
    /// Listens and serves. The socket accepts connections when this returns.
    ///
    /// # Errors
    /// When the socket cannot be bound, another server answers on it, or threads cannot start.
    pub fn start(host: &Arc<Host>, options: &ServerOptions) -> io::Result<Self> {
        let listener = bind(&options.socket)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("aigw-extproc")
            .enable_all()
            .build()?;
        let serving = Arc::new(AtomicBool::new(true));
        let (shutdown, stopped) = oneshot::channel();
        let (end, ended) = watch::channel(false);
        let open = Arc::new(AtomicUsize::new(0));
        let service = AccessLog {
            host: Arc::clone(host),
            ended,
            open: Arc::clone(&open),
        };
        let incoming = {
            let _context = runtime.enter();
            UnixListenerStream::new(UnixListener::from_std(listener)?)
        };
        let router = builder()
            .add_service(ExtProc(Arc::clone(host)))
            .add_service(service)
            .add_service(Health(Check(Arc::clone(&serving))));
        let task = runtime.spawn(router.serve_with_incoming_shutdown(incoming, async {
            let _ = stopped.await;
        }));
        Ok(Self {
            serving,
            socket: options.socket.clone(),
            running: Mutex::new(Some(Running {
                host: Arc::clone(host),
                runtime,
                task,
                shutdown,
                logs: Logs { end, open },
            })),
        })
    }

    /// Whether the health service answers `SERVING`.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    /// Health turns to `NOT_SERVING`; everything else goes on.
    pub fn set_not_ready(&self) {
        self.serving.store(false, Ordering::Release);
    }

    /// Takes no new streams, waits for running ones, ends those that are left after `drain`.
    /// Blocks; returns at once when the server has stopped. Not for async tasks.
    pub fn stop(&self, drain: Duration) {
        self.set_not_ready();
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(running) = running else {
            return;
        };
        let Running {
            host,
            runtime,
            task,
            shutdown,
            logs,
        } = running;
        let _ = shutdown.send(());
        let stopped = async {
            let asked = Instant::now();
            // Where no access log comes there is nothing to wait for.
            let may_come = || logs.are_open() || asked.elapsed() < FIRST_LOG;
            while !host.table.is_empty() || (host.unwritten() > 0 && may_come()) {
                tokio::time::sleep(LOOK).await;
            }
            let _ = logs.end.send(true);
            task.await
        };
        let _ = runtime.block_on(async { tokio::time::timeout(drain, stopped).await });
        runtime.shutdown_timeout(JOIN);
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

fn builder() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MAX_RESETS))
        .http2_max_local_error_reset_streams(None)
}

/// Binds the socket for this user only.
fn bind(path: &Path) -> io::Result<StdListener> {
    match UnixStream::connect(path) {
        Ok(_) => {
            let text = format!("{}: another server listens here", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?;
        }
        Err(_) => {}
    }
    let listener = StdListener::bind(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

#[derive(Clone)]
struct ExtProc(Arc<Host>);

impl NamedService for ExtProc {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for ExtProc {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let process = Process(Arc::clone(&self.0));
        Box::pin(async move {
            let mut grpc = Grpc::new(RawCodec)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            Ok(grpc.streaming(process, request).await)
        })
    }
}

struct Process(Arc<Host>);

impl StreamingService<Bytes> for Process {
    type Response = Bytes;
    type ResponseStream = Replies;
    type Future = std::future::Ready<Result<Response<Replies>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let role = text(&request, ROLE_HEADER).and_then(Role::from_name);
        let gateway = text(&request, GATEWAY_HEADER)
            .unwrap_or_default()
            .to_owned();
        let answer = role
            .map(|role| {
                let incoming = request.into_inner();
                let host = Arc::clone(&self.0);
                Response::new(Replies::new(incoming, host, role, &gateway))
            })
            .ok_or_else(|| {
                Status::invalid_argument("x-aigw-filter must be \"request\" or \"attempt\"")
            });
        std::future::ready(answer)
    }
}

fn text<'a, T>(request: &'a Request<T>, name: &str) -> Option<&'a str> {
    request.metadata().get(name)?.to_str().ok()
}

#[derive(Clone)]
struct AccessLog {
    host: Arc<Host>,
    ended: watch::Receiver<bool>,
    open: Arc<AtomicUsize>,
}

/// Counts an open stream.
struct Opened(Arc<AtomicUsize>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NamedService for AccessLog {
    const NAME: &'static str = LOG_SERVICE;
}

impl Service<http::Request<Body>> for AccessLog {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let logs = self.clone();
        Box::pin(async move { Ok(Grpc::new(RawCodec).client_streaming(logs, request).await) })
    }
}

impl ClientStreamingService<Bytes> for AccessLog {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let Self {
            host,
            mut ended,
            open,
        } = self.clone();
        open.fetch_add(1, Ordering::Relaxed);
        let opened = Opened(open);
        Box::pin(async move {
            let _opened = opened;
            let mut messages = request.into_inner();
            loop {
                let message = tokio::select! {
                    message = messages.message() => message?,
                    _ = ended.changed() => None,
                };
                let Some(message) = message else {
                    return Ok(Response::new(Bytes::new()));
                };
                let taken = host.access_log(message);
                taken.map_err(|error| Status::invalid_argument(error.to_string()))?;
            }
        })
    }
}

#[derive(Clone)]
struct Health(Check);

impl NamedService for Health {
    const NAME: &'static str = health::SERVICE;
}

impl Service<http::Request<Body>> for Health {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let check = self.0.clone();
        Box::pin(async move {
            if request.uri().path().ends_with("/Check") {
                Ok(Grpc::new(RawCodec).unary(check, request).await)
            } else {
                Ok(Status::unimplemented("only Check").into_http())
            }
        })
    }
}
