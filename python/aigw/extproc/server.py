"""The process: arguments, signals, life cycle. Bytes are moved by the transports.

The main thread runs asyncio and owns the signals; the native transport has Rust threads of its
own, which never touch Python. SIGTERM: not ready, drain for a bounded time, end.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aigw import _core
from aigw.errors import AigwError

if TYPE_CHECKING:
    from aigw.extproc.source import Source

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 4.0
"""Below the time after which supervisors kill."""
_MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class Options:
    """What to serve and where. `drain_seconds` bounds the wait for running requests.

    `admin` is the address of `/metrics` and `/health`, which `aigw run` serves itself. With a
    `source` the process keeps its runtime directory itself; else somebody else does.
    """

    runtime: Path
    socket: Path
    threads: int
    drain_seconds: float
    admin: tuple[str, int] | None = None
    source: "Source | None" = None


class Transport(Protocol):
    """A gRPC server around the sessions of the core."""

    @property
    def is_serving(self) -> bool:
        """What health says."""

    async def start(self) -> None:
        """Listens; the socket accepts connections when this returns."""

    def set_not_ready(self) -> None:
        """Health turns to "not serving"; everything else goes on."""

    async def stop(self, drain_seconds: float) -> None:
        """Takes no new streams, waits for running ones, ends those that are left."""


class NativeTransport:
    """The server inside the core."""

    def __init__(self, options: Options) -> None:
        self._server = _core.ExtProcServer(
            str(options.runtime), str(options.socket), options.threads
        )

    @property
    def is_serving(self) -> bool:
        """What health says."""
        return self._server.is_serving

    async def start(self) -> None:
        """Listens.

        Raises:
            StartError: the runtime directory or the socket cannot be used.
        """
        self._server.start()

    def set_not_ready(self) -> None:
        """Health turns to "not serving"."""
        self._server.set_not_ready()

    async def stop(self, drain_seconds: float) -> None:
        """Drains and joins the threads."""
        await asyncio.to_thread(self._server.stop, drain_seconds)


def _grpcio(options: Options) -> Transport:
    from aigw.extproc.grpcio_transport import GrpcioTransport  # noqa: PLC0415 - slow to import

    return GrpcioTransport(options.runtime, options.socket)


TRANSPORTS: dict[str, Callable[[Options], Transport]] = {
    "native": NativeTransport,
    "grpcio": _grpcio,
}


async def serve(make: Callable[[Options], Transport], options: Options) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        StartError: the runtime directory or the socket cannot be used.
        ObserveError: the admin port cannot be had, or an export is asked for that cannot be.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        if options.source is not None:
            await stack.enter_async_context(_followed(options.source, options.runtime, stop))
        if stop.is_set():
            return
        transport = make(options)
        if options.admin is not None:
            await stack.enter_async_context(_observed(transport, options, *options.admin))
        await _serve(transport, options.drain_seconds, stop)


@contextlib.asynccontextmanager
async def _followed(source: "Source", runtime: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Keeps the runtime directory; begins when there is a configuration, or all is to end."""
    from aigw.extproc.following import Following  # noqa: PLC0415 - gRPC is slow to import

    following = Following(source, runtime)
    running = asyncio.create_task(following.run())
    begun = [asyncio.create_task(following.first()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait({*begun, running}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        for task in (*begun, running):
            task.cancel()
        await asyncio.wait({*begun, running})


def _observed(
    transport: Transport, options: Options, address: str, port: int
) -> contextlib.AbstractAsyncContextManager[str]:
    from aigw.observe import Observed, observing  # noqa: PLC0415 - not where `aigw run` observes

    async def health() -> str:
        return "" if transport.is_serving else "unhealthy status: NOT_SERVING"

    return observing(Observed(options.runtime, address, port, health), os.environ)


async def _serve(transport: Transport, drain_seconds: float, stop: asyncio.Event) -> None:
    await transport.start()
    logger.info("serving")
    await stop.wait()
    logger.info("draining, %g s at most", drain_seconds)
    transport.set_not_ready()
    await transport.stop(drain_seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the process; returns its exit code: 0, or 1 when it cannot start."""
    parsed = _parser().parse_args(arguments)
    level = logging.INFO if parsed.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    if parsed.debug:
        _core.enable_debug_log()
    admin = None if parsed.admin_port is None else (parsed.admin_address, parsed.admin_port)
    options = Options(
        runtime=parsed.runtime,
        socket=parsed.socket,
        threads=parsed.threads,
        drain_seconds=parsed.drain_seconds,
        admin=admin,
        source=_source(parsed),
    )
    try:
        if options.source is not None:
            options.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        asyncio.run(serve(TRANSPORTS[parsed.transport], options))
    except AigwError as error:
        logger.error("%s", error)  # noqa: TRY400 - the text says it all
        return 1
    return 0


def _source(parsed: argparse.Namespace) -> "Source | None":
    if not parsed.gateway:
        return None
    from aigw.extproc.source import Source  # noqa: PLC0415

    return Source(
        gateway=parsed.gateway,
        node=parsed.node,
        controller=parsed.controller,
        certificates=parsed.certificates,
        mounted=parsed.mounted,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aigw.extproc", description=__doc__)
    parser.add_argument("--runtime", type=Path, required=True, help="runtime directory")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to serve on")
    parser.add_argument("--transport", choices=tuple(TRANSPORTS), default="native")
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=threads, help="threads (native)")
    parser.add_argument("--drain-seconds", type=float, default=DRAIN_SECONDS)
    parser.add_argument("--admin-port", type=int, help="port of /metrics and /health; 0: any")
    parser.add_argument("--admin-address", default="127.0.0.1", help="IP of the admin port")
    following = parser.add_argument_group("in a cluster")
    following.add_argument("--gateway", metavar="NS/NAME", help="whose configuration to follow")
    following.add_argument("--controller", default="", metavar="HOST:PORT", help="who streams it")
    following.add_argument("--certificates", type=Path, metavar="DIR", help="for that stream")
    following.add_argument("--mounted", type=Path, metavar="DIR", help="its mounted Secrets")
    following.add_argument("--node", default=socket.gethostname(), help="name in logs")
    parser.add_argument("--debug", action="store_true", help="log exchanges, redacted")
    parser.add_argument("--verbose", action="store_true", help="log the life cycle")
    return parser
