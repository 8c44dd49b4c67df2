"""Doors from the network of pods to servers on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kube.bed.api_server import NODE_ADDRESS

if TYPE_CHECKING:
    from beds.provider import LoopThread

_CHUNK = 65536


class Doors:
    """Makes ports of the loopback interface reachable at the node's address."""

    def __init__(self, thread: LoopThread) -> None:
        """Open none yet."""
        self._thread = thread
        self._servers: dict[int, asyncio.Server] = {}

    def open(self, port: int) -> str:
        """The address at which pods reach this port."""
        if port not in self._servers:
            self._servers[port] = self._thread.run(self._listen(port))
        return NODE_ADDRESS

    def close(self) -> None:
        """Close all."""
        for server in self._servers.values():
            self._thread.run(_closed(server))
        self._servers.clear()

    async def _listen(self, port: int) -> asyncio.Server:
        async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                inner = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_copy(reader, inner[1]), _copy(inner[0], writer))
            writer.close()

        return await asyncio.start_server(enter, NODE_ADDRESS, port)


async def _closed(server: asyncio.Server) -> None:
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
