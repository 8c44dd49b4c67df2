"""What the provider received, byte for byte, and what became of each reply."""

from __future__ import annotations

import enum
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

RawHeaders = tuple[tuple[bytes, bytes], ...]

WAIT_TIMEOUT = 10.0


class Framing(enum.Enum):
    """How the request delimited its body."""

    NONE = "none"
    CONTENT_LENGTH = "content-length"
    CHUNKED = "chunked"


class Outcome(enum.Enum):
    """What became of a reply."""

    PENDING = "pending"
    """Still being sent, or held at a gate."""
    SENT = "sent"
    """Sent as scripted, to the end."""
    RESET = "reset"
    """The provider reset the connection, as scripted."""
    CLOSED = "closed"
    """The provider closed the connection before the end, as scripted."""
    ABANDONED = "abandoned"
    """The client went away before the end of its request or of the reply."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire; nothing is normalised.

    `head` runs to and including the empty line, `wire_body` is the body with its framing (chunk
    headers and trailers), `body` the payload alone. `at` is in seconds of `time.monotonic()`.
    `connection` counts the accepted connections from 0, `sequence` the requests on it from 0.
    `complete` is false where the client left before the end of the body.
    """

    connection: int
    sequence: int
    at: float
    head: bytes
    method: bytes
    target: bytes
    version: bytes
    headers: RawHeaders
    framing: Framing
    body: bytes = b""
    wire_body: bytes = b""
    chunk_sizes: tuple[int, ...] = ()
    trailers: RawHeaders = ()
    complete: bool = True

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def query(self) -> str:
        """What follows the first `?` of the target, empty if nothing does."""
        return self.target.partition(b"?")[2].decode("latin-1")

    def header(self, name: str) -> str | None:
        """The first value of a header, the name compared without case."""
        return next(iter(self.header_values(name)), None)

    def header_values(self, name: str) -> list[str]:
        """All values of a header in their order, the name compared without case."""
        wanted = name.lower().encode("latin-1")
        return [v.decode("latin-1") for n, v in self.headers if n.lower() == wanted]

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON value the client sent
        """The body parsed as JSON.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.body)


@dataclass(slots=True)
class Exchange:
    """A request together with the fate of its reply."""

    received: Received
    outcome: Outcome = Outcome.PENDING
    sent_bytes: int = 0
    """Bytes of the reply given to the socket so far, head and framing included."""
    finished_at: float | None = field(default=None)


class Journal:
    """All exchanges of one provider, in order of arrival. Safe to read from any thread."""

    def __init__(self, keep: int | None = None) -> None:
        """Create an empty journal.

        Args:
            keep: the number of exchanges to hold, the oldest fall out; `None` holds all.
        """
        self._changed = threading.Condition()
        self._exchanges: deque[Exchange] = deque(maxlen=keep)
        self._malformed: deque[bytes] = deque(maxlen=keep)

    @property
    def exchanges(self) -> list[Exchange]:
        """A copy of the list of exchanges."""
        with self._changed:
            return list(self._exchanges)

    @property
    def received(self) -> list[Received]:
        """The requests alone."""
        return [exchange.received for exchange in self.exchanges]

    @property
    def malformed(self) -> list[bytes]:
        """Heads that were not HTTP/1; each was answered 400 and its connection closed."""
        with self._changed:
            return list(self._malformed)

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._exchanges.clear()
            self._malformed.clear()

    def wait(
        self, condition: Callable[[list[Exchange]], object], timeout: float = WAIT_TIMEOUT
    ) -> list[Exchange]:
        """Block until the exchanges fulfil a condition and return them.

        Raises:
            TimeoutError: they did not in `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(list(self._exchanges)), timeout):
                seen = [(e.received.path, e.outcome.value) for e in self._exchanges]
                message = f"condition not met within {timeout} s; exchanges: {seen}"
                raise TimeoutError(message)
            return list(self._exchanges)

    def begin(self, received: Received) -> Exchange:
        """Add a request."""
        with self._changed:
            exchange = Exchange(received)
            self._exchanges.append(exchange)
            self._changed.notify_all()
        return exchange

    def finish(self, exchange: Exchange, outcome: Outcome) -> None:
        """Note what became of the reply."""
        with self._changed:
            exchange.outcome = outcome
            exchange.finished_at = time.monotonic()
            self._changed.notify_all()

    def note_malformed(self, head: bytes) -> None:
        """Keep bytes that could not be read as a request."""
        with self._changed:
            self._malformed.append(head)
            self._changed.notify_all()
