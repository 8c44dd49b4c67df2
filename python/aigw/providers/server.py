"""The listener of the fake provider and the loop that serves a connection."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from aigw.providers.delivery import deliver
from aigw.providers.http import (
    HEAD_LIMIT,
    MalformedRequestError,
    parse_head,
    read_body,
    read_head,
)
from aigw.providers.link import Link
from aigw.providers.record import Exchange, Journal, Outcome
from aigw.providers.routes import default_reply
from aigw.providers.script import Match, Persistence, Reply, Script, ScriptBook

if TYPE_CHECKING:
    import ssl

    from aigw.providers.record import Received
    from aigw.providers.script import Responder

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
BACKLOG = 1024


class FakeProvider:
    """An HTTP/1.1 server that speaks the providers' APIs, does as scripted and records.

    Use it as an async context manager, or call `start` and `stop`.

    Attributes:
        journal: what came in and what became of the replies.
        scripts: the programmed replies; without one, `responder` answers.
        port: the port it listens on, also while it refuses connections.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        keep: int | None = None,
        responder: Responder = default_reply,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Configure a provider on the loopback interface.

        Args:
            port: 0 takes a free one.
            keep: how many exchanges the journal holds, `None` for all.
            responder: answers the requests that no script answers.
            tls: serve HTTPS with this context.
        """
        self.port = port
        self.journal = Journal(keep)
        self.scripts = ScriptBook(responder)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._accepted = 0

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return f"http{'s' if self._tls else ''}://{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> FakeProvider:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        self._reserve()
        await self.accept()

    async def stop(self) -> None:
        """Stop listening and drop all connections, held replies included."""
        self._close_listener()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        tasks = list(self._links.values())
        for link, task in list(self._links.items()):
            task.cancel()
            link.writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refuse(self) -> None:
        """Refuse new connections (the port stays ours) and close the idle ones."""
        self._close_listener()
        if self._reserved is None:
            self._reserve()
        idle = [link for link in self._links if link.idle]
        await asyncio.gather(*(link.close() for link in idle))

    async def accept(self) -> None:
        """Accept connections again after `refuse`."""
        if self._server is not None or self._reserved is None:
            return
        listener, self._reserved = self._reserved, None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Link(HEAD_LIMIT, self._connected), sock=listener, backlog=BACKLOG, ssl=self._tls
        )

    def on(self, *replies: Reply | Responder, match: Match | None = None) -> Script:
        """Answer the first, second, ... matching request with these replies.

        Args:
            replies: the last one repeats.
            match: which requests; all of them by default.
        """
        script = Script(replies, match or Match())
        self.scripts.add(script)
        return script

    def reset(self) -> None:
        """Forget scripts and records."""
        self.scripts.clear()
        self.journal.clear()

    def _reserve(self) -> None:
        """Bind without listening: a connection attempt is refused."""
        # With the protocol named, asyncio turns Nagle's delay off on every connection.
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind((LOOPBACK, self.port))
        except OSError:
            reserved.close()
            raise
        self.port = reserved.getsockname()[1]
        self._reserved = reserved

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _connected(self, link: Link) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(link, self._accepted))
        self._accepted += 1
        self._links[link] = task
        task.add_done_callback(lambda _: self._links.pop(link, None))

    async def _serve(self, link: Link, connection: int) -> None:
        sequence = 0
        try:
            while await self._exchange(link, connection, sequence) is Outcome.SENT:
                sequence += 1
        except MalformedRequestError as error:
            self.journal.note_malformed(error.data)
            await _reject(link, error)
        except Exception:
            logger.exception("serving connection %d failed", connection)
        finally:
            link.writer.transport.abort()

    async def _exchange(self, link: Link, connection: int, sequence: int) -> Outcome:
        link.idle = True
        head = await read_head(link.reader)
        if head is None:
            return Outcome.CLOSED
        link.idle = False
        received = parse_head(head, connection, sequence)
        received = await read_body(
            link.reader, received, lambda: link.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        )
        exchange = self.journal.begin(received)
        outcome = Outcome.ABANDONED
        try:
            if received.complete:
                outcome = await deliver(link, self._answer(received), exchange)
        finally:
            self.journal.finish(exchange, outcome)
        return Outcome.CLOSED if link.writer.is_closing() else outcome

    def _answer(self, received: Received) -> Reply:
        try:
            return self.scripts.answer(received)
        except Exception:
            logger.exception("no reply to %r", received.target)
            body = b'{"error":{"message":"the script failed","type":"server_error"}}'
            return Reply(500, (("content-type", "application/json"),), body)


async def _reject(link: Link, error: MalformedRequestError) -> None:
    body = str(error).encode()
    head = Reply(error.status, (("content-type", "text/plain"),), body)
    received = parse_head(b"GET / HTTP/1.1\r\n\r\n", 0, 0)
    closing = Reply(head.status, head.headers, body, persistence=Persistence.CLOSE)
    await deliver(link, closing, Exchange(received))
