"""The sidecar's configuration: streamed by the controller, or from mounted Secrets without it."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from aigw.errors import AigwError
from aigw.extproc.mounted import MountedSnapshot
from aigw.extproc.snapshots import RuntimeFiles
from aigw.extproc.source import Source
from aigw.render.config_messages import METHOD, OPTIONS, SERVICE, piece_of, read, written

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_POLL_SECONDS = 0.02
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 10.0


class Following:
    """Keeps the runtime directory as the controller says."""

    def __init__(self, source: Source, runtime: Path) -> None:
        """Nothing is known yet."""
        self._source = source
        self._files = RuntimeFiles(runtime)
        self._first = asyncio.Event()

    async def first(self) -> None:
        """Waits for the first configuration."""
        await self._first.wait()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._source.mounted is not None:
                group.create_task(self._look(MountedSnapshot(self._source.mounted)))
            if self._source.controller:
                group.create_task(self._stream())

    def _take(self, manifest: Mapping[str, Any], pieces: Mapping[str, bytes], where: str) -> bool:
        """Whether it can be used; it may be an older one all the same."""
        try:
            is_newer = self._files.take(manifest, pieces)
        except (AigwError, OSError) as error:
            logger.error("the configuration %s cannot be used: %s", where, error)  # noqa: TRY400
            return False
        if is_newer:
            logger.info("configuration %s %s", manifest["generation"], where)
            self._first.set()
        return True

    async def _look(self, mounted: MountedSnapshot) -> None:
        while True:
            found = await asyncio.to_thread(mounted.newer)
            if found is not None:
                self._take(*found, "from mounted Secrets")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _stream(self) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                async for message in self._messages():
                    delay = _FIRST_DELAY
                    del message
                logger.info("the controller has ended the stream")
            except grpc.aio.AioRpcError as error:
                logger.warning("no stream from the controller: %s", error.details())
            except OSError as error:
                logger.warning("no stream from the controller: %s", error)
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _messages(self) -> AsyncIterator[None]:
        """Follows one stream; yields at each message."""
        wanted: Mapping[str, Any] = {}
        pieces: dict[str, bytes] = {}
        async with await self._channel() as channel:
            call: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            await call.write(
                written(
                    hello={
                        "gateway": self._source.gateway,
                        "node": self._source.node,
                        "known": list(self._files.known),
                    }
                )
            )
            reporting = asyncio.create_task(self._report(call))
            try:
                async for message in call:
                    if piece := piece_of(message):
                        pieces[piece[0]] = piece[1]
                    elif manifest := read(message).get("manifest"):
                        wanted, pieces = manifest, {}
                    if wanted and self._is_complete(wanted, pieces):
                        if not self._take(wanted, pieces, "from the controller"):
                            return  # the next stream begins with what is really here
                        wanted = {}
                    yield
            finally:
                reporting.cancel()

    def _is_complete(self, wanted: Mapping[str, Any], pieces: Mapping[str, bytes]) -> bool:
        names = (*wanted["config"], wanted["credentials"])
        return all(name in pieces or name in self._files.known for name in names)

    async def _report(self, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        """Tells every change of what the core has in force."""
        last: tuple[str, str] | None = None
        while True:
            now = self._files.in_force()
            if now != last:
                last = now
                await call.write(written(report={"generation": now[0], "error": now[1]}))
            await asyncio.sleep(_POLL_SECONDS)

    async def _channel(self) -> grpc.aio.Channel:
        folder = self._source.certificates
        if folder is None:
            return grpc.aio.insecure_channel(self._source.controller, options=OPTIONS)
        # Read anew for each connection: they are renewed.
        chain, key, roots = (
            (folder / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")
        )
        credentials = grpc.ssl_channel_credentials(roots, key, chain)
        return grpc.aio.secure_channel(self._source.controller, credentials, options=OPTIONS)
