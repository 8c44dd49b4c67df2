"""The Rust core: bytes in, bytes out. Calls release the GIL."""

from os import PathLike
from typing import Literal, final

from aigw.errors import AigwError

__all__ = [
    "Attempt",
    "BodyStep",
    "CallOrderError",
    "ConfigError",
    "CoreError",
    "Exchange",
    "ExtProcHost",
    "ExtProcServer",
    "ExtProcSession",
    "InternalError",
    "LedgerError",
    "LedgerRecords",
    "Reply",
    "RequestError",
    "ResponseHead",
    "SessionError",
    "StartError",
    "UpstreamRequest",
    "check_config",
    "cost_fault",
    "enable_debug_log",
    "error_table",
    "evaluate_cel",
    "ledger_report",
    "metrics_points",
    "metrics_table",
    "metrics_text",
    "recover_ledger",
    "support_matrix",
    "version",
]

_Headers = list[tuple[str, bytes]]
_Edits = list[tuple[Literal["set", "append", "remove"], str, bytes]]
_Metadata = dict[str, str | float]

class CoreError(AigwError):
    """Base of the errors of the core.

    `kind` names the fault, `status` is the HTTP status that stands for it.
    """

    kind: str
    status: int

class ConfigError(CoreError):
    """The filter config is wrong."""

class StartError(CoreError):
    """A data plane cannot start on its directory or socket."""

class SessionError(CoreError):
    """An ext_proc stream cannot go on."""

class RequestError(CoreError):
    """The gateway answers the request itself."""

    reply: Reply

class CallOrderError(CoreError):
    """A call that does not fit: a step in the wrong order, an unknown role."""

class LedgerError(CoreError):
    """The usage ledger cannot be read or written."""

class InternalError(CoreError):
    """A fault of the gateway itself."""

def version() -> str:
    """The version of the package."""

def check_config(config: bytes) -> None:
    """Checks the bytes of a `config.json`.

    Raises:
        ConfigError: the core cannot use it.
    """

def cost_fault(expression: str) -> str | None:
    """Why an expression cannot be used as a cost; None when it can."""

def enable_debug_log() -> None:
    """Writes redacted debug lines of every exchange of this process to standard error."""

def error_table() -> bytes:
    """Every error reply, as JSON.

    `{"core": [{kind, status, type}], "envoy": [{status, type, message, details}]}`
    """

def evaluate_cel(request: bytes) -> bytes:
    """Evaluates CEL expressions over parts of one value; JSON in, JSON out.

    Reads `{"object": value, "old": value?, "checks": [[expression, [name | index, ...]], ...]}`;
    the path of a check says what `self` (and `oldSelf`) is. Returns a list with, for each check,
    `{"value": ...}` or `{"error": "syntax" | "limit" | "evaluation", "message": text}`.

    Raises:
        CallOrderError: the request is malformed.
    """

def metrics_text(runtime_dir: str) -> bytes:
    """The metrics of the data plane of a runtime directory, as Prometheus text.

    Raises:
        StartError: none has run there.
    """

def metrics_points(runtime_dir: str) -> bytes:
    """The metrics of the data plane of a runtime directory, as JSON.

    `{"started_at": ns, "families": [{name, unit, kind, help, points: [{labels, value, counts}]}]}`

    Raises:
        StartError: none has run there.
    """

def metrics_table() -> bytes:
    """Every metric, as JSON: `[{name, prometheus, unit, kind, labels, help}]`."""

def support_matrix(prefixes: bytes = ...) -> bytes:
    """Which endpoint is served from which schema, as JSON.

    `{"schemas": [name], "endpoints": [{path, schemas: {name: service}}]}`

    A service is `passthrough`, `translated` or `local`. `prefixes` are those of the filter config;
    the default is a default installation.

    Raises:
        ConfigError: the prefixes are not as in a filter config.
    """

def ledger_report(directory: str | PathLike[str], query: bytes) -> bytes:
    """Usage of a ledger, grouped, as JSON.

    Reads `{"since": ns, "by": "model" | "backend" | "route" | "identity" | {"attribute": name}}`;
    `since` counts from the Unix epoch and is rounded down to the hour. Returns `{"groups":
    [group], "total": group, "lost", "unexported", "damaged_bytes", "since"}`, the most expensive
    group first. Amounts of money are decimal text.

    Raises:
        LedgerError: a file cannot be read, or the query is none.
    """

def recover_ledger(runtime_dir: str | PathLike[str]) -> None:
    """Brings what dead processes left in a runtime directory into its ledger.

    Raises:
        LedgerError: the ledger cannot be written; all is still there.
    """

@final
class LedgerRecords:
    """Single records of a ledger, from a position that can be kept.

    Several processes may write at the same time: each one's records come in their order.
    """

    def __new__(cls, directory: str | PathLike[str], cursor: bytes = ...) -> LedgerRecords: ...
    @staticmethod
    def resume(directory: str | PathLike[str], name: str) -> LedgerRecords:
        """Goes on where the reader of this name was when it called `keep`.

        Raises:
            LedgerError: that is no name.
        """
    def read(self, limit: int) -> list[bytes]:
        """The next records, as JSON, at most `limit`; none when there are no more yet.

        Raises:
            LedgerError: a file cannot be read.
        """
    @property
    def cursor(self) -> bytes:
        """Where `read` goes on."""
    def keep(self, name: str) -> None:
        """Keeps the position in the ledger; what lies behind it is the first to be removed.

        Raises:
            LedgerError: it cannot be written.
        """

@final
class ExtProcServer:
    """The native ext_proc server on a Unix socket, in threads of its own."""

    def __new__(cls, runtime_dir: str, socket: str, threads: int) -> ExtProcServer: ...
    @property
    def is_serving(self) -> bool:
        """Whether the health service answers "serving"."""
    @property
    def in_flight(self) -> int:
        """Requests that were read and are not over."""
    def start(self) -> None:
        """Listens; the socket accepts connections when this returns.

        Raises:
            StartError: the runtime directory or the socket cannot be used.
        """
    def set_not_ready(self) -> None:
        """Health turns to "not serving"; everything else goes on."""
    def stop(self, drain_seconds: float) -> None:
        """Takes no new streams, waits for running ones, ends the rest after the given time."""

@final
class ExtProcHost:
    """What the sessions of one process share, for a transport written in Python."""

    def __new__(cls, runtime_dir: str) -> ExtProcHost: ...
    @property
    def in_flight(self) -> int:
        """Requests that were read and are not over."""
    @property
    def unwritten(self) -> int:
        """Requests whose record is not written yet."""
    def access_log(self, message: bytes) -> None:
        """Takes in a message of Envoy's access log.

        Raises:
            CoreError: it is none.
        """
    def session(self, role: str, gateway: str) -> ExtProcSession:
        """A session for a stream; `role` is `request` or `attempt`.

        Raises:
            CallOrderError: there is no such role.
        """

@final
class ExtProcSession:
    """One ext_proc stream. Call `close` when it is over."""

    @property
    def pending(self) -> bool:
        """Whether replies come without a further message: call `resume`."""
    @property
    def finished(self) -> bool:
        """Whether the stream is to be closed with status OK."""
    def handle(self, message: bytes) -> list[bytes]:
        """Takes in a message; returns the replies that are due now.

        Raises:
            SessionError: the stream must be closed with an error.
        """
    def resume(self, timeout: float) -> list[bytes]:
        """Blocks until the wait is over, `timeout` seconds at most; returns replies, if any.

        Raises:
            SessionError: the stream must be closed with an error.
        """
    def close(self) -> None:
        """Ends the request, or the attempt."""

@final
class Reply:
    """An answer that the gateway gives itself."""

    @property
    def status(self) -> int:
        """HTTP status."""
    @property
    def headers(self) -> list[tuple[str, str]]:
        """Headers besides `content-length`."""
    @property
    def body(self) -> bytes:
        """Body."""
    @property
    def kind(self) -> str:
        """Stable name."""

@final
class UpstreamRequest:
    """The provider's request as changes of the client's."""

    @property
    def edits(self) -> _Edits:
        """Header edits in order."""
    @property
    def body(self) -> bytes | None:
        """New body; `None` leaves the client's."""
    @property
    def metadata(self) -> _Metadata:
        """Dynamic metadata."""

@final
class ResponseHead:
    """What becomes of a response head."""

    @property
    def edits(self) -> _Edits:
        """Header edits in order."""
    @property
    def body(self) -> Literal["skip", "watch", "replace"]:
        """How the body is handled."""
    @property
    def hold(self) -> bool:
        """Whether the head waits for a release."""
    @property
    def added_body(self) -> bytes | None:
        """Body to add to a reply without one."""

@final
class BodyStep:
    """What becomes of a chunk."""

    @property
    def release(self) -> _Edits | None:
        """Edits that release a held head."""
    @property
    def replaced(self) -> bytes | None:
        """Bytes instead of this chunk and those held before it; `None` lets them through."""

@final
class Exchange:
    """One client request, step by step and without a clock.

    `now` is in Unix seconds. The request id is always the same.
    """

    def __new__(
        cls, config: bytes, credentials: bytes, gateway: str, *, now: int = 0
    ) -> Exchange: ...
    @property
    def model(self) -> str:
        """The model that the client asked for."""
    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""
    def head(self, headers: _Headers) -> Reply | None:
        """The head of a request with a body; a reply when the gateway answers at once."""
    def head_only(self, headers: _Headers) -> Reply | None:
        """The head of a request without a body."""
    def body(self, body: bytes) -> tuple[_Edits, _Metadata]:
        """The whole body; returns the edits of the request headers and the dynamic metadata.

        Raises:
            RequestError: the gateway refuses the request.
        """
    def attempt(self, backend: str) -> Attempt:
        """Starts an attempt at the backend with this id.

        Raises:
            RequestError: the backend is unknown or cannot serve the endpoint.
        """

@final
class Attempt:
    """One try at one backend."""

    @property
    def needs_body(self) -> bool:
        """Whether `prepare` reads the client's body."""
    @property
    def rebuilds_reply(self) -> bool:
        """Whether the reply is rebuilt rather than watched."""
    def prepare(self, body: bytes) -> UpstreamRequest:
        """The provider's request. Nothing is waited for.

        Raises:
            RequestError: the backend cannot express the request, or has no credential, or the
                gateway answers for it.
        """
    def response_head(self, status: int, pairs: _Headers) -> ResponseHead:
        """The head of a reply with a body."""
    def response_head_only(self, status: int, pairs: _Headers) -> ResponseHead:
        """The head of a reply without a body."""
    def response_body(self, chunk: bytes, *, at_ns: int = 0) -> BodyStep:
        """The next bytes of the reply; `at_ns` counts from the start of the request."""
    def response_end(self, chunk: bytes, *, at_ns: int = 0) -> BodyStep:
        """The last bytes of the reply, which may be none."""
    def abort(self) -> None:
        """The reply broke off."""
    def take_metadata(self) -> _Metadata:
        """Metadata that changed since the last call."""
    def price_entry(self) -> tuple[str, str, str] | None:
        """Entry, source and rates of the price that applies so far; None where none is known."""
    def record(self) -> bytes:
        """What is known of the attempt so far, as JSON."""
