"""Envoy's admin interface over its Unix socket: the few questions a supervisor asks."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

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

    async def refused(self) -> bool:
        """Whether Envoy has refused a part of its configuration since it started.

        It calls itself ready then too, and serves the rest, or nothing.

        Raises:
            AdminError: no answer.
        """
        return await self._sum("Counters", r"\.update_rejected$") > 0

    async def refusals(self) -> int:
        """How many updates were refused or could not be read since Envoy started.

        Raises:
            AdminError: no answer.
        """
        return await self._sum("Counters", r"\.update_(rejected|failure)$")

    async def attempts(self) -> int:
        """How many updates were read since Envoy started.

        Raises:
            AdminError: no answer.
        """
        return await self._sum("Counters", r"\.update_attempt$")

    async def gauge(self, name: str) -> int:
        """One gauge, 0 where there is none.

        Raises:
            AdminError: no answer.
        """
        return await self._sum("Gauges", f"^{re.escape(name)}$")

    async def versions(self) -> dict[str, str]:
        """Versions of the updates in force, by the name under which they are counted.

        Raises:
            AdminError: no answer.
        """
        text = await self.call("GET", r"/stats?type=TextReadouts&filter=\.version_text$")
        lines = (line.partition(": ") for line in text.splitlines())
        return {name.removesuffix(".version_text"): value.strip('"') for name, _, value in lines}

    async def _sum(self, kind: str, expression: str) -> int:
        text = await self.call("GET", f"/stats?type={kind}&filter={quote(expression)}")
        return sum(int(line.rpartition(":")[2]) for line in text.splitlines())

    async def active_requests(self) -> int:
        """Requests in progress on all listeners.

        Raises:
            AdminError: no answer.
        """
        query = "type=Gauges&filter=" + quote(r"^http\..*downstream_rq_active$")
        text = await self.call("GET", f"/stats?{query}")
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
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            message = f"envoy admin {target}: {error or type(error).__name__}"
            raise AdminError(message) from None
        if " 200 " not in head.splitlines()[0]:
            message = f"envoy admin {target}: {head.splitlines()[0]}"
            raise AdminError(message)
        return body

    async def _exchange(self, method: str, target: str) -> tuple[str, str]:
        reader, writer = await asyncio.open_unix_connection(str(self.socket), limit=_REPLY_LIMIT)
        try:
            lines = (f"{method} {target} HTTP/1.1", "host: admin", "connection: close", "", "")
            writer.write("\r\n".join(lines).encode())
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
            body = await _chunks(reader) if "chunked" in head.lower() else await reader.read()
        finally:
            writer.close()
        return head, body.decode(errors="replace")


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """The payload of a chunked body, the only framing with a length that Envoy's admin uses."""
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    return bytes(body)
