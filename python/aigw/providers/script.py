"""Programmable replies: what to answer, how to deliver it, and how to fail."""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aigw.providers.record import Received

if TYPE_CHECKING:
    from aigw.providers.gate import Gate

Headers = tuple[tuple[str, str], ...]


class Phase(enum.Enum):
    """A point in a reply at which a fault strikes."""

    BEFORE_HEAD = "before head"
    MID_HEAD = "mid head"
    AFTER_HEAD = "after head"
    MID_BODY = "mid body"
    BEFORE_END = "before end"
    """After all payload, before the final chunk and the trailers."""


class FaultKind(enum.Enum):
    """How a reply fails."""

    RESET = "reset"
    """A TCP reset (RST)."""
    CLOSE = "close"
    """An orderly close (FIN) where more was due."""
    HANG = "hang"
    """Nothing more, until the fault's gate opens or the client leaves."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure at one point of a reply.

    With a gate, `RESET` and `CLOSE` strike when it opens, and `HANG` ends and the reply goes on.
    `after` counts payload bytes sent before a fault in `MID_BODY`; `None` is half of the payload.
    """

    kind: FaultKind
    phase: Phase = Phase.BEFORE_HEAD
    after: int | None = None
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a body that is sent once its gate is open."""

    data: bytes
    gate: Gate | None = None


class ReplyFraming(enum.Enum):
    """How the reply delimits its body."""

    AUTO = "auto"
    """`Content-Length` for one piece of bytes, chunked for a tuple."""
    CONTENT_LENGTH = "content-length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class Encoding(enum.Enum):
    """The content coding of the reply."""

    IDENTITY = "identity"
    GZIP = "gzip"


class Persistence(enum.Enum):
    """What happens to the connection after the reply."""

    KEEP_ALIVE = "keep-alive"
    CLOSE = "close"
    """Says `Connection: close` and closes."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply.

    `body` is bytes, or a tuple whose members become one HTTP chunk each. `declared_length`
    replaces the true `Content-Length` (a lie; a short body then ends in a close). `trailers`
    need chunked framing. `pace` is the number of seconds before each member of the body;
    prefer gates in tests. `write_size` cuts everything, the head included, into socket writes of
    that many bytes.

    Example:
        >>> Reply(status=429, headers=(("retry-after", "1"),)).status
        429
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | tuple[bytes | Chunk, ...] = b""
    trailers: Headers = ()
    framing: ReplyFraming = ReplyFraming.AUTO
    encoding: Encoding = Encoding.IDENTITY
    persistence: Persistence = Persistence.KEEP_ALIVE
    declared_length: int | None = None
    pace: float = 0.0
    write_size: int | None = None
    fault: Fault | None = None

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The body as chunks, before any content coding."""
        parts = (self.body,) if isinstance(self.body, bytes) else self.body
        return tuple(Chunk(p) if isinstance(p, bytes) else p for p in parts)

    @property
    def payload(self) -> bytes:
        """The whole body, before any content coding."""
        return b"".join(chunk.data for chunk in self.chunks)

    def rechunked(self, size: int) -> Reply:
        """The same reply with its body in HTTP chunks of `size` bytes; gates are dropped."""
        data = self.payload
        return replace(
            self, body=tuple(data[i : i + size] for i in range(0, len(data), size)) or b""
        )

    def gated(self, index: int, gate: Gate) -> Reply:
        """The same reply, held at `gate` before the chunk with this index."""
        chunks: list[bytes | Chunk] = list(self.chunks)
        chunks[index] = Chunk(self.chunks[index].data, gate)
        return replace(self, body=tuple(chunks))

    def failing(self, fault: Fault) -> Reply:
        """The same reply with a fault."""
        return replace(self, fault=fault)

    def encoded(self) -> tuple[Chunk, ...]:
        """The chunks after the content coding, each one flushed so that it can be read alone."""
        if self.encoding is Encoding.IDENTITY:
            return self.chunks
        packer = zlib.compressobj(wbits=31)
        chunks = self.chunks
        packed = [packer.compress(c.data) + packer.flush(zlib.Z_SYNC_FLUSH) for c in chunks]
        packed[-1] += packer.flush()
        return tuple(Chunk(data, c.gate) for data, c in zip(packed, chunks, strict=True))


Responder = Callable[[Received], Reply]


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a script answers: all conditions that are given must hold.

    `header` is a name (any case) and its exact value, `path` the exact path without query.
    """

    header: tuple[str, str] | None = None
    path: str | None = None
    when: Callable[[Received], bool] | None = None

    def accepts(self, received: Received) -> bool:
        """Whether the request fulfils every condition."""
        if self.header is not None and self.header[1] not in received.header_values(self.header[0]):
            return False
        if self.path is not None and self.path != received.path:
            return False
        return self.when is None or self.when(received)


class Exhausted(enum.Enum):
    """What a script does after its last reply."""

    REPEAT_LAST = "repeat last"
    FALL_THROUGH = "fall through"
    """Leaves the request to older scripts and to the default."""


@dataclass(frozen=True, slots=True)
class Script:
    """Replies for the first, second, ... request that matches; a function makes one on the spot.

    Example:
        >>> Script((Reply(status=503), Reply(body=b"{}")), Match(header=("x-script-id", "a")))
        ... # doctest: +ELLIPSIS
        Script(...)
    """

    replies: tuple[Reply | Responder, ...]
    match: Match = Match()
    exhausted: Exhausted = Exhausted.REPEAT_LAST

    def reply(self, attempt: int, received: Received) -> Reply | None:
        """The reply for the attempt with this number (from 0), `None` if there is none left."""
        if attempt >= len(self.replies):
            if self.exhausted is Exhausted.FALL_THROUGH or not self.replies:
                return None
            attempt = len(self.replies) - 1
        chosen = self.replies[attempt]
        return chosen if isinstance(chosen, Reply) else chosen(received)


class ScriptBook:
    """The scripts of one provider; the newest that matches answers."""

    def __init__(self, default: Responder) -> None:
        """Create a book without scripts.

        Args:
            default: answers what no script answers.
        """
        self._default = default
        self._scripts: list[tuple[Script, list[Received]]] = []

    def add(self, script: Script) -> None:
        """Put a script before all others."""
        self._scripts.insert(0, (script, []))

    def clear(self) -> None:
        """Drop all scripts."""
        self._scripts.clear()

    def answer(self, received: Received) -> Reply:
        """The reply to a request."""
        for script, answered in self._scripts:
            if not script.match.accepts(received):
                continue
            reply = script.reply(len(answered), received)
            if reply is not None:
                answered.append(received)
                return reply
        return self._default(received)
