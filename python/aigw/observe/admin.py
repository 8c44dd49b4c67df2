"""The admin port: `/metrics` and `/health` over plain HTTP/1.1, one request per connection."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from aigw.observe.errors import ObserveError

logger = logging.getLogger(__name__)

DEFAULT_PORT = 1064
_HEAD_BYTES = 16 << 10
_HEAD_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_CONNECTIONS = 64
_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"

Health = Callable[[], Awaitable[str]]
"""Why the gateway does not serve; empty when it does."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What is on offer."""

    metrics: Callable[[], Awaitable[bytes]]
    health: Health


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    kind: str = _TEXT


@contextlib.asynccontextmanager
async def serving(address: str, port: int | None, pages: Pages) -> AsyncIterator[str]:
    """Serves until the end of the block; gives `host:port`.

    Without a port it is the default one, or any other when somebody has that: a second gateway
    of a machine does not fail for its metrics. Port 0 is any.

    Raises:
        ObserveError: the port is in use, or cannot be listened on.
    """
    handler = _Handler(pages)
    server = await _listening(address, port, handler)
    number = server.sockets[0].getsockname()[1]
    host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    try:
        yield f"{host}:{number}"
    finally:
        server.close()
        await handler.close()


async def _listening(address: str, port: int | None, handler: "_Handler") -> asyncio.Server:
    try:
        return await _bound(address, DEFAULT_PORT if port is None else port, handler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            message = f"cannot listen on {address}, port {port}, for metrics: {error.strerror}"
            raise ObserveError(message) from None
        if port is not None:
            message = f"port {port} (--admin-port) is in use"
            raise ObserveError(message) from None
    logger.warning("port %s is in use: metrics are served on another one", DEFAULT_PORT)
    return await _bound(address, 0, handler)


async def _bound(address: str, port: int, handler: "_Handler") -> asyncio.Server:
    return await asyncio.start_server(handler.connection, address, port, limit=_HEAD_BYTES)


class _Handler:
    """Answers connections."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._tasks: set[asyncio.Task[None]] = set()

    def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection has come."""
        if len(self._tasks) >= _CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.decode("latin-1").partition(" ")
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._answer(method, rest.partition(" ")[0])
                writer.write(_written(answer, with_body=method != "HEAD"))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks so gets no answer
        except Exception:
            logger.exception("the admin port has a fault")
        finally:
            writer.close()

    async def _answer(self, method: str, target: str) -> _Answer:
        path = target.partition("?")[0]
        if path not in ("/metrics", "/health"):
            return _Answer(HTTPStatus.NOT_FOUND, b"on offer: /metrics, /health\n")
        if method not in ("GET", "HEAD"):
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"use GET\n")
        if path == "/metrics":
            return _Answer(HTTPStatus.OK, await self._pages.metrics(), _METRICS)
        if why := await self._pages.health():
            return _Answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{why}\n".encode())
        return _Answer(HTTPStatus.OK, b"OK\n")


def _written(answer: _Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"content-type: {answer.kind}\r\ncontent-length: {len(answer.body)}\r\n"
        "cache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if with_body else b"")
