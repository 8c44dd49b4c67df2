"""A provider that answers with any bytes, HTTP or not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beds.provider import LoopThread


class RawProvider:
    """A server that answers every request with the bytes in `reply` and closes."""

    def __init__(self, thread: LoopThread) -> None:
        """Listen."""
        self._thread = thread
        self.reply = b""
        self._server = thread.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(self.reply)
            await writer.drain()
        writer.close()

    def stop(self) -> None:
        """Stop."""
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._server.close()
