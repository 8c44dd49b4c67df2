"""An HTTP/1.1 client that sends exactly the bytes it is given, sane or not."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

TIMEOUT = 10.0
READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Piece:
    """Body bytes and when they were complete, in seconds of `time.monotonic()`.

    Of a chunked body a piece is one HTTP chunk, of any other what one read brought.
    """

    data: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Head:
    """A response head; `raw` runs to and including the empty line."""

    raw: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]

    def header(self, name: str) -> str | None:
        """The first value of a header, the name compared without case."""
        wanted = name.lower().encode()
        values = (v.decode("latin-1") for n, v in self.headers if n.lower() == wanted)
        return next(values, None)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response."""

    head: Head
    pieces: tuple[Piece, ...]

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    @property
    def body(self) -> bytes:
        """The payload without framing."""
        return b"".join(piece.data for piece in self.pieces)


def request(method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> bytes:
    r"""The bytes of an ordinary request; `host` and, with a body, `content-length` are added.

    Example:
        >>> request("GET", "/v1/models")
        b'GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n'
    """
    fields = [("host", "localhost"), *headers]
    if body:
        fields.append(("content-length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


class RawConnection:
    """One TCP connection; every wait is bounded by `timeout`.

    Example:
        with RawConnection(provider.port) as client:
            client.send(request("GET", "/v1/models"))
            assert client.response().status == 200
    """

    def __init__(self, address: int | tuple[str, int] | str, timeout: float = TIMEOUT) -> None:
        """Connect to a port of the loopback interface, a host and port, or a Unix socket path."""
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout)
        self._buffer = bytearray()
        try:
            self.socket.connect(("127.0.0.1", address) if isinstance(address, int) else address)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> RawConnection:
        """The connection itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        self.socket.sendall(data)

    def send_in_pieces(self, data: bytes, size: int = 1) -> None:
        """Send with one write for every `size` bytes."""
        for start in range(0, len(data), size):
            self.socket.sendall(data[start : start + size])

    def send_chunked(self, *chunks: bytes) -> None:
        """Send HTTP chunks and the final one."""
        for chunk in chunks:
            self.socket.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.socket.sendall(b"0\r\n\r\n")

    def finish_sending(self) -> None:
        """Close the sending half (FIN)."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a TCP reset (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close in order."""
        self.socket.close()

    def head(self) -> Head:
        """The next response head; interim (1xx) heads come like any other.

        Raises:
            ConnectionError: the server closed or reset before its end.
        """
        raw = self._line(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        fields = [line.partition(b":") for line in lines]
        headers = tuple((name, value.strip(b" \t")) for name, _, value in fields)
        return Head(raw, int(first.split(b" ")[1]), headers)

    def pieces(self, head: Head) -> Iterator[Piece]:
        """The body of a response, as it arrives.

        Raises:
            ConnectionError: the server closed or reset before the end that it had announced.
        """
        if (head.header("transfer-encoding") or "").lower() == "chunked":
            yield from self._chunks()
        elif head.header("content-length") is not None:
            yield from self._counted(int(head.header("content-length") or 0))
        elif head.status >= 200 and head.status not in {204, 304}:
            while data := self._take():
                yield Piece(data, time.monotonic())

    def response(self) -> Response:
        """The next response, to its end."""
        head = self.head()
        return Response(head, tuple(self.pieces(head)))

    def closed(self) -> bool:
        """Wait until the server closes in order; false where bytes come instead.

        Raises:
            ConnectionResetError: the server reset the connection.
        """
        return not self._take()

    def _chunks(self) -> Iterator[Piece]:
        while size := int(self._line(b"\r\n").partition(b";")[0], 16):
            self._fill(size + 2)
            yield Piece(self._cut(size), time.monotonic())
            self._cut(2)
        while self._line(b"\r\n") != b"\r\n":
            pass

    def _counted(self, left: int) -> Iterator[Piece]:
        while left:
            self._fill(1)
            data = self._cut(min(left, len(self._buffer)))
            left -= len(data)
            yield Piece(data, time.monotonic())

    def _take(self) -> bytes:
        if self._buffer:
            return self._cut(len(self._buffer))
        return self.socket.recv(READ_SIZE)

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            data = self.socket.recv(READ_SIZE)
            if not data:
                message = f"closed after {bytes(self._buffer)!r}"
                raise ConnectionError(message)
            self._buffer += data

    def _cut(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _line(self, end: bytes) -> bytes:
        while (found := self._buffer.find(end)) < 0:
            self._fill(len(self._buffer) + 1)
        return self._cut(found + len(end))
