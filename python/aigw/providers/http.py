"""Reads HTTP/1.1 requests off a stream without changing a byte (RFC 9112)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aigw.providers.record import Framing, RawHeaders, Received

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_LIMIT = 1 << 20
BODY_LIMIT = 128 << 20
READ_SIZE = 1 << 18


class MalformedRequestError(Exception):
    """The bytes are not an HTTP/1 request, or one that is too large.

    Attributes:
        status: the HTTP status to answer with.
        data: the offending bytes.
    """

    def __init__(self, status: int, detail: str, data: bytes) -> None:
        """Name the fault and keep the bytes."""
        super().__init__(detail)
        self.status = status
        self.data = data


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """The next head with its empty line, `None` where the client is done.

    Raises:
        MalformedRequestError: the stream ends within a head, or the head is too long.
    """
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise MalformedRequestError(400, "truncated head", error.partial) from error
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedRequestError(431, "head too large", b"") from error
    except ConnectionError:
        return None


def parse_head(head: bytes, connection: int, sequence: int) -> Received:
    """The head as a request that has no body yet.

    Raises:
        MalformedRequestError: request line or a header line is malformed.
    """
    first, *lines = head[:-4].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise MalformedRequestError(400, "malformed request line", head)
    method, target, version = words
    headers = _parse_fields(lines, head)
    return Received(
        connection=connection,
        sequence=sequence,
        at=time.monotonic(),
        head=head,
        method=method,
        target=target,
        version=version,
        headers=headers,
        framing=_framing(headers),
    )


def _parse_fields(lines: list[bytes], head: bytes) -> RawHeaders:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise MalformedRequestError(400, "malformed header line", head)
        fields.append((name, value.strip(b" \t")))
    return tuple(fields)


def _framing(headers: RawHeaders) -> Framing:
    names = {name.lower(): value.lower() for name, value in headers}
    if names.get(b"transfer-encoding", b"").endswith(b"chunked"):
        return Framing.CHUNKED
    if b"content-length" in names:
        return Framing.CONTENT_LENGTH
    return Framing.NONE


@dataclass(slots=True)
class _Body:
    """A body in the making; keeps what had come when the client left."""

    payload: bytearray = field(default_factory=bytearray)
    wire: bytearray = field(default_factory=bytearray)
    chunk_sizes: list[int] = field(default_factory=list)
    trailers: RawHeaders = ()

    async def fixed(self, reader: asyncio.StreamReader, length: int) -> None:
        """Take `length` bytes of payload."""
        end = len(self.payload) + length
        if end > BODY_LIMIT:
            raise MalformedRequestError(413, "body too large", b"")
        while len(self.payload) < end:
            data = await reader.read(min(READ_SIZE, end - len(self.payload)))
            if not data:
                raise asyncio.IncompleteReadError(b"", None)
            self.payload += data
            self.wire += data

    async def line(self, reader: asyncio.StreamReader) -> bytes:
        """Take one line of the framing, returned without its line end."""
        try:
            line = await reader.readuntil(b"\r\n")
        except asyncio.IncompleteReadError as error:
            self.wire += error.partial
            raise
        self.wire += line
        return line[:-2]

    async def chunked(self, reader: asyncio.StreamReader) -> None:
        """Take chunks, the final one and the trailers."""
        while size := self._size(await self.line(reader)):
            self.chunk_sizes.append(size)
            await self.fixed(reader, size)
            if await self.line(reader):
                raise MalformedRequestError(400, "malformed chunk", bytes(self.wire))
        lines = []
        while line := await self.line(reader):
            lines.append(line)
        self.trailers = _parse_fields(lines, bytes(self.wire))

    def _size(self, line: bytes) -> int:
        try:
            return int(line.partition(b";")[0].strip(), 16)
        except ValueError as error:
            raise MalformedRequestError(400, "malformed chunk size", bytes(self.wire)) from error


async def read_body(
    reader: asyncio.StreamReader, received: Received, on_expect: Callable[[], None]
) -> Received:
    """The request with its body, marked incomplete if the client left before the end.

    Args:
        reader: the stream, right behind the head.
        received: the request as `parse_head` returned it.
        on_expect: called before the body is read where the client waits for `100 Continue`.

    Raises:
        MalformedRequestError: the framing is broken or the body too large.
    """
    if received.framing is Framing.NONE:
        return received
    if (received.header("expect") or "").lower() == "100-continue":
        on_expect()
    body, complete = _Body(), True
    try:
        if received.framing is Framing.CHUNKED:
            await body.chunked(reader)
        else:
            await body.fixed(reader, _content_length(received))
    except (asyncio.IncompleteReadError, ConnectionError):
        complete = False
    return replace(
        received,
        body=bytes(body.payload),
        wire_body=bytes(body.wire),
        chunk_sizes=tuple(body.chunk_sizes),
        trailers=body.trailers,
        complete=complete,
    )


def _content_length(received: Received) -> int:
    values = set(received.header_values("content-length"))
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()):
        raise MalformedRequestError(400, "malformed content-length", received.head)
    return int(value)
