"""Configurations on their way to data planes: one stream each, and what they report.

With mutual TLS a data plane gets what its certificate names, whatever it says. The messages are
those of `aigw.render.config_messages`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import grpc.aio

from aigw.render.config_messages import (
    IDENTITY,
    METHOD,
    OPTIONS,
    SERVICE,
    piece_message,
    read,
    written,
)
from aigw.render.snapshot import Snapshot

logger = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class Report:
    """What a data plane says: the generation in force, and why the newest is not (or nothing)."""

    generation: str
    error: str = ""


@dataclass(slots=True)
class _Follower:
    """One data plane that is connected."""

    node: str
    known: set[str]
    report: Report = Report("")
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class ConfigStream:
    """Offers the newest snapshot of each Gateway, and keeps what data planes report.

    `on_report` hears of a Gateway whose reports have changed. All of it belongs to one event loop.
    """

    def __init__(self, on_report: Callable[[str], None]) -> None:
        """Nobody is connected yet, and there is nothing to offer."""
        self._on_report = on_report
        self._snapshots: dict[str, Snapshot] = {}
        self._followers: dict[str, list[_Follower]] = {}
        self._reported = asyncio.Event()

    def publish(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Offers these, by Gateway (`<ns>/<name>`), and nothing else."""
        changed = {
            gateway
            for gateway in snapshots.keys() | self._snapshots.keys()
            if snapshots.get(gateway) is not self._snapshots.get(gateway)
        }
        self._snapshots = dict(snapshots)
        for gateway in changed:
            for follower in self._followers.get(gateway, ()):
                # An error was about the one before.
                follower.report = Report(follower.report.generation)
                follower.changed.set()

    def reports(self, gateway: str) -> list[Report]:
        """The reports of all data planes that are connected."""
        return [follower.report for follower in self._followers.get(gateway, ())]

    async def confirmed(self, generations: Mapping[str, str], seconds: float) -> bool:
        """Waits until every connected data plane has these generations, or has refused them.

        False where one of them has done neither in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while not all(map(self._is_settled, generations.items())):
                    self._reported.clear()
                    await self._reported.wait()
        except TimeoutError:
            return False
        return True

    def _is_settled(self, item: tuple[str, str]) -> bool:
        gateway, generation = item
        return all(
            report.generation == generation or report.error for report in self.reports(gateway)
        )

    async def serve(
        self, address: str, credentials: grpc.ServerCredentials | None = None
    ) -> grpc.aio.Server:
        """Listens; without credentials only data planes of this machine get anything.

        Raises:
            RuntimeError: the address cannot be had.
        """
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((self._handler(),))
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
        await server.start()
        return server

    def _handler(self) -> grpc.GenericRpcHandler:
        follow: Any = grpc.stream_stream_rpc_method_handler(self._follow, None, None)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: follow})

    async def _follow(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        first = await anext(aiter(requests), b"")
        hello = read(first).get("hello", {})
        gateway = str(hello.get("gateway", ""))
        if not _mayread(context, gateway):
            message = f"the certificate is not that of a data plane of {gateway}"
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, message)
        follower = _Follower(str(hello.get("node", "")), set(hello.get("known", ())))
        self._followers.setdefault(gateway, []).append(follower)
        logger.info("%s: data plane %s is connected", gateway, follower.node)
        listening = asyncio.create_task(self._listen(gateway, follower, requests))
        try:
            async for sent in self._messages(gateway, follower, listening):
                yield sent
        finally:
            listening.cancel()
            self._followers[gateway].remove(follower)
            logger.info("%s: data plane %s is gone", gateway, follower.node)
            self._note(gateway)

    async def _messages(
        self, gateway: str, follower: _Follower, listening: asyncio.Task[None]
    ) -> AsyncIterator[bytes]:
        last: Snapshot | None = None
        while not listening.done():
            follower.changed.clear()
            snapshot = self._snapshots.get(gateway)
            if snapshot is not None and snapshot is not last:
                last = snapshot
                yield written(manifest=snapshot.manifest)
                for digest, piece in snapshot.missing(follower.known).items():
                    yield piece_message(digest, piece)
                follower.known = set(snapshot.pieces)
                continue
            waiting = asyncio.create_task(follower.changed.wait())
            await asyncio.wait({waiting, listening}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()

    async def _listen(
        self, gateway: str, follower: _Follower, requests: AsyncIterator[bytes]
    ) -> None:
        async for text in requests:
            found = read(text).get("report")
            if isinstance(found, dict):
                generation, error = str(found.get("generation", "")), str(found.get("error", ""))
                follower.report = Report(generation, error)
                self._note(gateway)

    def _note(self, gateway: str) -> None:
        self._reported.set()
        self._on_report(gateway)


def _mayread(context: Context, gateway: str) -> bool:
    """Whether the certificate names the Gateway; without TLS only a socket of this machine may."""
    identity = context.auth_context()
    if identity.get("transport_security_type") != [b"ssl"]:
        return context.peer().startswith("unix:")
    names = identity.get("x509_subject_alternative_name", [])
    return f"{IDENTITY}{gateway}".encode() in names
