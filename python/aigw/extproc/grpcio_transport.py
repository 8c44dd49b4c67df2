"""The reference transport: grpcio around the sessions of the core, raw bytes in and out."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio

from aigw import _core

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

logger = logging.getLogger(__name__)

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
LOGS = "envoy.service.accesslog.v3.AccessLogService"
HEALTH = "grpc.health.v1.Health"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
MAX_MESSAGE_BYTES = 256 << 20
MAX_STREAMS = 2**31 - 1
MOST_WAITING = 64
"""Streams that wait at the same time, for a credential for instance; more of them queue."""
WAIT_SECONDS = 1.0
LOOK_SECONDS = 0.005
"""How often a server that stops looks whether all records are written."""
FIRST_LOG_SECONDS = 0.2
"""The first entry of an access log, whose stream is not open before, comes within this time."""

Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GrpcioTransport:
    """A grpc.aio server on a Unix socket."""

    def __init__(self, runtime: Path, socket: Path) -> None:
        self._host = _core.ExtProcHost(str(runtime))
        self._socket = socket
        self._waiting = ThreadPoolExecutor(MOST_WAITING, thread_name_prefix="waiting")
        self._health = SERVING
        self._no_logs = asyncio.Event()
        self._open_logs = 0
        self._server: grpc.aio.Server | None = None

    @property
    def is_serving(self) -> bool:
        """What health says."""
        return self._health == SERVING

    async def start(self) -> None:
        """Listens, for this user only."""
        process: Handler = grpc.stream_stream_rpc_method_handler(self._process, None, None)
        logs: Handler = grpc.stream_unary_rpc_method_handler(self._access_log, None, None)
        check: Handler = grpc.unary_unary_rpc_method_handler(self._check, None, None)
        server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_concurrent_streams", MAX_STREAMS),
            )
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, {"Process": process}),
                grpc.method_handlers_generic_handler(LOGS, {"StreamAccessLogs": logs}),
                grpc.method_handlers_generic_handler(HEALTH, {"Check": check}),
            )
        )
        mask = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{self._socket}")
        finally:
            os.umask(mask)
        await server.start()
        self._server = server

    def set_not_ready(self) -> None:
        """Health turns to "not serving"."""
        self._health = NOT_SERVING

    async def stop(self, drain_seconds: float) -> None:
        """Drains."""
        if self._server is not None:
            stopped = asyncio.create_task(self._server.stop(drain_seconds))
            asked = time.monotonic()
            while self._waits_for_logs(time.monotonic() - asked) and not stopped.done():  # noqa: ASYNC110 - threads write records
                await asyncio.sleep(LOOK_SECONDS)
            # Envoy keeps the stream of its access log open.
            self._no_logs.set()
            await stopped
        self._waiting.shutdown(wait=False, cancel_futures=True)

    def _waits_for_logs(self, seconds: float) -> bool:
        """Whether records are still to be written that an access log may tell about."""
        may_come = self._open_logs > 0 or seconds < FIRST_LOG_SECONDS
        return self._host.in_flight > 0 or (self._host.unwritten > 0 and may_come)

    async def _check(self, _request: bytes, _context: Context) -> bytes:
        return self._health

    async def _process(
        self, messages: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        metadata = dict(context.invocation_metadata() or ())
        role, gateway = metadata.get("x-aigw-filter", ""), metadata.get("x-aigw-gateway", "")
        try:
            session = self._host.session(str(role), str(gateway))
        except _core.CallOrderError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            async for message in messages:
                for reply in session.handle(message):
                    yield reply
                async for reply in self._late(session):
                    yield reply
                if session.finished:
                    return
        except _core.CoreError as error:
            logger.exception("a stream failed")
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        finally:
            session.close()

    async def _access_log(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        end = asyncio.create_task(self._no_logs.wait())
        self._open_logs += 1
        try:
            while True:
                following = asyncio.ensure_future(anext(messages))
                await asyncio.wait({following, end}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    return b""
                self._host.access_log(following.result())
        except StopAsyncIteration:
            return b""
        except _core.CoreError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self._open_logs -= 1
            end.cancel()

    async def _late(self, session: _core.ExtProcSession) -> AsyncIterator[bytes]:
        """Replies that come without a further message."""
        loop = asyncio.get_running_loop()
        while session.pending:
            for reply in await loop.run_in_executor(self._waiting, session.resume, WAIT_SECONDS):
                yield reply
