"""The life of `aigw run`: find, compile, publish, start, watch, stop."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aigw.compile.proxies import proxies_of
from aigw.credentials import Refresher
from aigw.errors import AigwError
from aigw.files import replace
from aigw.plan import EndpointPrefixes, Plan, Port
from aigw.render.envoy import DataPlane, envoy_environment, log_arguments
from aigw.standalone import layout as layouts
from aigw.standalone import outputs, ports, publish, source
from aigw.standalone.admin import Admin
from aigw.standalone.configuration import Configuration
from aigw.standalone.envoy import Envoy, EnvoyCommand
from aigw.standalone.errors import RunError
from aigw.standalone.extproc import ExtProc
from aigw.standalone.layout import Layout
from aigw.standalone.logs import Journal, say, say_findings
from aigw.standalone.observation import observed
from aigw.standalone.options import RunOptions
from aigw.standalone.outputs import Outputs
from aigw.standalone.publish import CredentialsFile, Publication
from aigw.standalone.reload import Reloader, log_levels
from aigw.standalone.rollout import Rollout
from aigw.standalone.watch import Files

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Our own lines are redacted; Envoy's `http` and `router` would print credentials.
_DEBUG_LEVELS = {"default": "info", "dynamic_modules": "debug"}


def run(options: RunOptions) -> int:
    """Runs a gateway until it is asked to stop. 0 after a clean stop, 1 when it cannot run."""
    journal = Journal(logging.DEBUG if options.debug else logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(options, journal, time.monotonic()))
    except AigwError as error:
        say(f"Error running: {error}")
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"Error running: {where}{error.strerror}")
        return 1
    return 0


async def _run(options: RunOptions, journal: Journal, began: float) -> None:
    stop, address, files = _Stop(), options.listen_address, Files()
    found = await source.find(options, os.environ, files)
    try:
        configuration = Configuration(found, files, options.prefixes)
        plan = _plan(configuration)
        for name, proxy in plan.proxies.items():
            source_name, _, _ = name.partition("@")
            logger.info(
                "providers are reached through %s:%s (%s)", proxy.host, proxy.port, source_name
            )
        homes = (options.runtime_dir, options.run_id, options.state_home)
        with layouts.created(*homes) as layout, outputs.kept(layout.envoy_logs) as streams:
            journal.open(layout.log)
            first = publish.prepared(plan, layout, options)
            publish.publish(first, layout)
            async with contextlib.AsyncExitStack() as stack:
                with ports.claimed([port.number for port in plan.ports], address):
                    starting = _started(options, layout, first, configuration, streams)
                    running = await _unless(stop.asked, stack.enter_async_context(starting))
                if running is not None:
                    replace(layout.admin_address, str(layout.admin_socket).encode())
                    metrics = f"http://{running.metrics_address}/metrics"
                    places = f"admin {layout.admin_socket}, metrics {metrics}"
                    _announce(found, plan, places, options, time.monotonic() - began)
                    await asyncio.to_thread(publish.keep_copies, first, layout)
                    await _until(stop.asked, running.watchers)
                    logger.info("stopping")
                    await _unless(stop.urged, running.envoy.drain(options.drain_seconds))
    finally:
        if found.demo is not None:
            await found.demo.stop()


@dataclass(frozen=True, slots=True)
class _Running:
    """A data plane that serves, and the tasks that keep it so."""

    envoy: Envoy
    watchers: list[asyncio.Task[None]]
    metrics_address: str


@contextlib.asynccontextmanager
async def _started(
    options: RunOptions,
    layout: Layout,
    first: Publication,
    configuration: Configuration,
    streams: Outputs,
) -> AsyncIterator[_Running]:
    """Starts the data plane, keeps it running and up to date, ends it."""
    envoy = _envoy(options, layout, first.plan, streams)
    debug = ("--debug",) if options.debug else ()
    extproc = ExtProc(layout, options.transport, debug)
    server = extproc if options.data_plane is DataPlane.EXTPROC else None
    credentials = CredentialsFile(layout)
    credentials.show(first.plan)
    refresher = Refresher(first.plan.credentials, credentials.issue)
    watchers: list[asyncio.Task[None]] = []
    async with observed(options, layout, refresher) as metrics_address:
        try:
            watchers.append(asyncio.create_task(refresher.run()))
            if server is not None:
                await server.start()
                watchers.append(asyncio.create_task(server.supervise()))
            await envoy.start()
            watchers.append(asyncio.create_task(envoy.supervise()))
            if configuration.is_written:
                rollout = Rollout(layout, envoy.admin, first, credentials, envoy.refusals)
                reloader = Reloader(configuration, rollout, envoy, refresher, options)
                watchers.append(asyncio.create_task(reloader.run()))
            yield _Running(envoy, watchers, metrics_address)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            await envoy.stop()
            if server is not None:
                await server.stop()


def _envoy(options: RunOptions, layout: Layout, plan: Plan, streams: Outputs) -> Envoy:
    levels = _DEBUG_LEVELS if options.debug else log_levels(plan)
    bootstrap = str(layout.envoy / publish.BOOTSTRAP)
    # All proxies of the environment: an edit may be the first to need one.
    variables = envoy_environment(proxies_of(os.environ))
    arguments = tuple(log_arguments(levels))
    command = EnvoyCommand(bootstrap, options.concurrency, arguments, variables)
    return Envoy(command, Admin(layout.admin_socket), streams)


class _Stop:
    """SIGINT, SIGTERM, SIGHUP: one asks for the end, a second is impatient, a third kills.

    SIGHUP is the end of the terminal; `nohup` has it ignored, and so it stays.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.urged = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._numbers.append(signal.SIGHUP)
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            return
        self.urged.set()
        for number in self._numbers:
            self._loop.remove_signal_handler(number)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None when `event` came first, and `work` was cancelled."""
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None
    finally:
        waiting.cancel()


async def _until(event: asyncio.Event, watchers: Sequence[asyncio.Task[None]]) -> None:
    """Waits for the event.

    Raises:
        RunError: a task that keeps the data plane running has ended.
    """
    waiting = asyncio.create_task(event.wait())
    try:
        done, _ = await asyncio.wait({waiting, *watchers}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for watcher in done - {waiting}:
        message = f"the supervision ended: {watcher.exception()!r}"
        raise RunError(message)


def _plan(configuration: Configuration) -> Plan:
    """The plan; findings are printed, what they do not concern is served.

    Raises:
        RunError: nothing can be served.
    """
    compiled = configuration.first()
    say_findings(configuration.news(compiled))
    fault = configuration.fault(compiled)
    if compiled.plan is None or fault:
        raise RunError(fault)
    return compiled.plan


def _announce(
    found: source.Found, plan: Plan, places: str, options: RunOptions, seconds: float
) -> None:
    address = ipaddress.ip_address(options.listen_address)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    url, *others = (_url(host, port) for port in plan.ports)
    places = "".join(f"also {other}, " for other in others) + places
    lines = [
        found.summary,
        f"Envoy AI Gateway listening on {url} ({places}) after {seconds:.1f}s",
    ]
    if found.demo is not None:
        lines += _what_to_try(url, plan.prefixes)
    say("\n".join(lines))


def _url(host: str, port: Port) -> str:
    scheme = "https" if port.listeners[0].certificates else "http"
    return f"{scheme}://{host}:{port.number}"


def _what_to_try(url: str, prefixes: EndpointPrefixes) -> list[str]:
    openai = url + prefixes.path(prefixes.openai, "v1")
    anthropic = url + prefixes.path(prefixes.anthropic).rstrip("/")
    body = '{"model":"demo","messages":[{"role":"user","content":"hello"}]}'
    return [
        "Try:",
        f"  curl {openai}/chat/completions -H 'content-type: application/json' -d '{body}'",
        f"  OpenAI(base_url='{openai}', api_key='any')",
        f"  Anthropic(base_url='{anthropic}', api_key='any'), models named claude-…",
    ]
