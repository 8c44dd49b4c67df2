"""Envoy's admin interface over its Unix socket: the few questions a supervisor asks."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

_REPLY_LIMIT = 1 << 20


class AdminError(Exception):
    """Envoy does not answer, or not with 200."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin interface of one Envoy."""

    socket: Path

    async def ready(self) -> bool:
        """Whether Envoy serves."""
        try:
            return (await self.call("GET", "/ready")).strip() == "LIVE"
        except AdminError:
            return False

    async def active_requests(self) -> int:
        """Requests in progress on all listeners.

        Raises:
            AdminError: no answer.
        """
        text = await self.call("GET", r"/stats?filter=^http\..*downstream_rq_active$")
        lines = (line.partition(":") for line in text.splitlines())
        return sum(int(value) for name, _, value in lines if not name.startswith("http.admin."))

    async def call(self, method: str, target: str) -> str:
        """The text of a 200 reply.

        Raises:
            AdminError: anything else.
        """
        try:
            async with asyncio.timeout(5):
                head, body = await self._exchange(method, target)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            message = f"envoy admin {target}: {error or type(error).__name__}"
            raise AdminError(message) from None
        if " 200 " not in head.splitlines()[0]:
            message = f"envoy admin {target}: {head.splitlines()[0]}"
            raise AdminError(message)
        return body

    async def _exchange(self, method: str, target: str) -> tuple[str, str]:
        """HTTP/1.0, so that the end of the connection is the end of the reply."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            writer.write(f"{method} {target} HTTP/1.0\r\nhost: admin\r\n\r\n".encode())
            await writer.drain()
            reply = bytearray()
            while chunk := await reader.read(65536):
                reply += chunk
                if len(reply) > _REPLY_LIMIT:
                    break
        finally:
            writer.close()
        if not reply:
            raise ConnectionResetError
        head, _, body = reply.decode(errors="replace").partition("\r\n\r\n")
        return head, body
