"""One accepted connection: the byte streams, and whether the client is still there."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any


class Link(asyncio.StreamReaderProtocol):
    """A client's connection; calls `on_connect` with itself once it is made."""

    def __init__(self, limit: int, on_connect: Callable[[Link], None]) -> None:
        """Create the protocol of a connection that is about to be made.

        Args:
            limit: the longest head, in bytes.
            on_connect: starts whatever serves the connection.
        """
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(limit=limit, loop=loop)
        super().__init__(self.reader, loop=loop)
        self.idle = True
        self._on_connect = on_connect
        self._gone = asyncio.Event()
        self._ended = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    @property
    def writer(self) -> asyncio.StreamWriter:
        """The sending side.

        Raises:
            RuntimeError: the connection is not made yet.
        """
        if self._writer is None:
            message = "not connected"
            raise RuntimeError(message)
        return self._writer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the streams; a write waits until the kernel has taken every byte."""
        super().connection_made(transport)
        if isinstance(transport, asyncio.WriteTransport):
            # A TLS transport compares with "at least", so that 0 would never let a write through.
            over_tls = transport.get_extra_info("sslcontext") is not None
            transport.set_write_buffer_limits(1 if over_tls else 0)
            loop = asyncio.get_running_loop()
            self._writer = asyncio.StreamWriter(transport, self, self.reader, loop)
            self._on_connect(self)

    def eof_received(self) -> bool | None:
        """Note that the client sends no more: while a reply is held, that means it left."""
        self._gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is over."""
        super().connection_lost(exc)
        self._gone.set()
        self._ended.set()

    async def write(self, data: bytes) -> None:
        """Send and wait until the kernel has taken all of it.

        Raises:
            ConnectionError: the client is gone.
        """
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def unless_gone(self, step: Coroutine[Any, Any, object]) -> None:
        """Wait for a step, but no longer than the client stays.

        Raises:
            ConnectionError: the client left first.
        """
        task = asyncio.ensure_future(step)
        left = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ConnectionResetError
        finally:
            task.cancel()
            left.cancel()

    async def close(self) -> None:
        """Close in order (FIN) and wait for the end."""
        self.writer.close()
        await self._ended.wait()

    async def reset(self) -> None:
        """Close with a TCP reset (RST) and wait for the end."""
        raw = self.writer.get_extra_info("socket")
        if raw is not None and not self.writer.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        await self._ended.wait()
