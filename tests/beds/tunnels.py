"""Ways to a provider: an HTTP CONNECT proxy that knows names of its own, and a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beds.provider import CALL_TIMEOUT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from beds.provider import LoopThread

LOOPBACK = "127.0.0.1"
_REFUSED = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"
_UNAUTHORIZED = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(slots=True)
class ConnectProxy:
    """A proxy on the loopback interface. It refuses what it does not know.

    Attributes:
        targets: ports on the loopback interface by `host:port`; 0 never answers.
        authorization: the value that it demands, if any.
        asked: the targets of all CONNECT requests so far.
    """

    targets: Mapping[str, int]
    authorization: str = ""
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @contextlib.contextmanager
    def running(self, thread: LoopThread, tls: ssl.SSLContext | None = None) -> Iterator[None]:
        """Serves on a free port."""
        server = thread.run(asyncio.start_server(self._serve, LOOPBACK, 0, ssl=tls))
        self.port = server.sockets[0].getsockname()[1]
        with _closing(thread, server):
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            assert method == "CONNECT"
            self.asked.append(target)
            port = self.targets.get(target)
            if self.authorization and f"proxy-authorization: {self.authorization}\r\n" not in head:
                writer.write(_UNAUTHORIZED)
            elif port is None:
                writer.write(_REFUSED)
            elif port == 0:
                await reader.read()
            else:
                writer.write(_OPEN)
                await _join(reader, writer, port)
        writer.close()


@dataclass(slots=True)
class Ear:
    """A port on the loopback interface that says nothing, and what it heard first."""

    port: int = 0
    heard: bytes = b""
    _came: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Waits until something came in."""
        assert self._came.wait(CALL_TIMEOUT)

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keeps the first line of a connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heard = (await reader.readuntil(b"\r\n")).rstrip()
            self._came.set()
        writer.close()


@contextlib.contextmanager
def listening(thread: LoopThread) -> Iterator[Ear]:
    """An ear."""
    ear = Ear()
    server = thread.run(asyncio.start_server(ear.listen, LOOPBACK, 0))
    ear.port = server.sockets[0].getsockname()[1]
    with _closing(thread, server):
        yield ear


@contextlib.contextmanager
def unix_socket(thread: LoopThread, path: Path, port: int) -> Iterator[None]:
    """A Unix socket in front of a port of the loopback interface."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await _join(reader, writer, port)
        writer.close()

    server = thread.run(asyncio.start_unix_server(serve, path))
    with _closing(thread, server):
        yield


@contextlib.contextmanager
def _closing(thread: LoopThread, server: asyncio.Server) -> Iterator[None]:
    async def close() -> None:
        server.close()
        await server.wait_closed()

    try:
        yield
    finally:
        thread.run(close())


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carries bytes both ways until both sides have ended."""
    far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)
    ways = (_carry(reader, far_writer), _carry(far_reader, writer))
    await asyncio.gather(*ways, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
