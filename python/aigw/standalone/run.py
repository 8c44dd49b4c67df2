"""The life of `aigw run`: find, compile, publish, start, watch, stop."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence

from aigw.api.load import load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled, compile_plan
from aigw.credentials import Refresher
from aigw.errors import AigwError, Code, Diagnostic
from aigw.plan import Plan
from aigw.render.envoy import DataPlane, log_arguments
from aigw.standalone import layout as layouts
from aigw.standalone import publish, source
from aigw.standalone.admin import Admin
from aigw.standalone.envoy import Envoy, EnvoyCommand
from aigw.standalone.errors import RunError
from aigw.standalone.extproc import ExtProc
from aigw.standalone.layout import Layout
from aigw.standalone.options import RunOptions

logger = logging.getLogger(__name__)

# Our own lines are redacted; Envoy's `http` and `router` would print credentials.
_DEBUG_LEVELS = {"default": "info", "dynamic_modules": "debug"}


def run(options: RunOptions) -> int:
    """Runs a gateway until SIGINT or SIGTERM. 0 after a clean stop, 1 when it cannot run."""
    level = logging.DEBUG if options.debug else logging.INFO
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(options, time.monotonic()))
    except AigwError as error:
        sys.stderr.write(f"Error running: {error}\n")
        return 1
    return 0


async def _run(options: RunOptions, began: float) -> None:
    stop = _stop_signal()
    found = await source.find(options, os.environ)
    try:
        plan = _plan(found)
        _check_ports(plan, options.listen_address)
        with layouts.created(options.runtime_dir, options.run_id) as layout:
            publish.publish(plan, layout, options)
            async with _started(options, layout, plan) as envoy:
                _announce(found, plan, layout, time.monotonic() - began)
                await stop.wait()
                logger.info("stopping")
                await envoy.drain(options.drain_seconds)
    finally:
        if found.demo is not None:
            await found.demo.stop()


@contextlib.asynccontextmanager
async def _started(options: RunOptions, layout: Layout, plan: Plan) -> AsyncIterator[Envoy]:
    """Starts the data plane, keeps it running, ends it."""
    levels = _DEBUG_LEVELS if options.debug else plan.telemetry.log_levels
    bootstrap = str(layout.envoy / publish.BOOTSTRAP)
    command = EnvoyCommand(bootstrap, options.concurrency, tuple(log_arguments(levels)))
    envoy = Envoy(command, Admin(layout.admin_socket))
    debug = ("--debug",) if options.debug else ()
    extproc = ExtProc(layout, options.transport, debug)
    server = extproc if options.data_plane is DataPlane.EXTPROC else None
    watchers: list[asyncio.Task[None]] = []
    tokens = Refresher(
        plan.credentials, lambda found: publish.publish_credentials(plan, layout, found)
    )
    try:
        watchers.append(asyncio.create_task(tokens.run()))
        if server is not None:
            await server.start()
            watchers.append(asyncio.create_task(server.supervise()))
        await envoy.start()
        watchers.append(asyncio.create_task(envoy.supervise()))
        yield envoy
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        await envoy.stop()
        if server is not None:
            await server.stop()


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return stop


def _plan(found: source.Found) -> Plan:
    """The plan; findings are printed, what they do not concern is served.

    Raises:
        RunError: nothing can be served, or the file is not YAML.
    """
    environment = Environment(os.environ, source.read_file)
    compiled = compile_plan(load([found.source], environment), int(time.time()))
    _print(compiled.diagnostics)
    broken = [item for item in compiled.errors if item.code is Code.INVALID_YAML]
    if compiled.plan is None or broken:
        raise RunError(_reason(compiled))
    return compiled.plan


def _reason(compiled: Compiled) -> str:
    count = len(compiled.errors)
    return f"nothing can be served, see the {count} error{'s' if count != 1 else ''} above"


def _print(diagnostics: Sequence[Diagnostic]) -> None:
    for diagnostic in diagnostics:
        sys.stderr.write(f"{diagnostic}\n")


def _check_ports(plan: Plan, address: str) -> None:
    """Raises RunError for a port that is taken: Envoy would say so late and at length."""
    for listener in plan.listeners:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, listener.port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    message = f"port {listener.port} is in use"
                else:
                    message = f"port {listener.port}: {error.strerror}"
                raise RunError(message) from None


def _announce(found: source.Found, plan: Plan, layout: Layout, seconds: float) -> None:
    url = f"http://127.0.0.1:{plan.listeners[0].port}"
    lines = [
        found.summary,
        f"Envoy AI Gateway listening on {url} (admin {layout.admin_socket}) after {seconds:.1f}s",
    ]
    if found.demo is not None:
        lines += _what_to_try(url)
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def _what_to_try(url: str) -> list[str]:
    body = '{"model":"demo","messages":[{"role":"user","content":"hello"}]}'
    return [
        "Try:",
        f"  curl {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
        f"  OpenAI(base_url='{url}/v1', api_key='any')",
        f"  Anthropic(base_url='{url}/anthropic', api_key='any'), models named claude-…",
    ]
