"""Takes over edits of the configuration while the gateway runs."""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Iterator, Mapping

from aigw.credentials import Refresher
from aigw.errors import AigwError
from aigw.plan import Plan
from aigw.standalone import ports, publish
from aigw.standalone.configuration import Configuration
from aigw.standalone.envoy import Envoy
from aigw.standalone.logs import say_findings
from aigw.standalone.options import RunOptions
from aigw.standalone.rollout import Rollout

logger = logging.getLogger(__name__)

_KEPT = "configuration not reloaded, the one before stays in force: %s"


class Reloader:
    """Follows the files of a configuration. Whatever cannot be served leaves the last good one."""

    def __init__(
        self,
        configuration: Configuration,
        rollout: Rollout,
        envoy: Envoy,
        refresher: Refresher,
        options: RunOptions,
    ) -> None:
        """Nothing is watched yet."""
        self._configuration = configuration
        self._rollout = rollout
        self._envoy = envoy
        self._refresher = refresher
        self._options = options
        self._settling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Runs until it is cancelled."""
        try:
            while True:
                await self._configuration.files.changed()
                try:
                    with _without_collections():
                        await self._reload(time.monotonic())
                except AigwError as error:
                    logger.error(_KEPT, error)  # noqa: TRY400 - the text says it all
                except Exception:
                    logger.exception(_KEPT, "an internal error")
        finally:
            await self._stop_settling()

    async def _reload(self, began: float) -> None:
        configuration = self._configuration
        compiled = await asyncio.to_thread(configuration.again)
        say_findings(configuration.news(compiled))
        fault = configuration.fault(compiled)
        if compiled.plan is None or fault:
            logger.error(_KEPT, fault)
        elif compiled.plan == self._rollout.current.plan:
            logger.info("configuration read again: nothing has changed")
        else:
            await self._take_over(compiled.plan)
            seconds = time.monotonic() - began
            logger.info("configuration reloaded: %s (%.2fs)", summary(compiled.plan), seconds)
            await asyncio.to_thread(
                publish.keep_copies, self._rollout.current, self._rollout.layout
            )

    async def _take_over(self, plan: Plan) -> None:
        last = self._rollout.current
        new = await asyncio.to_thread(publish.prepared, plan, self._rollout.layout, self._options)
        await self._stop_settling()
        added = {port.number for port in plan.ports} - {port.number for port in last.plan.ports}
        # New credentials are exchanged meanwhile; changed ones only when they are in force.
        self._refresher.update({**plan.credentials, **last.plan.credentials})
        try:
            with ports.claimed(sorted(added), self._options.listen_address):
                await self._rollout.to(new)
        finally:
            self._refresher.update(self._rollout.current.plan.credentials)
            self._rollout.credentials.issue(self._refresher.issued)
            self._settling = asyncio.create_task(self._rollout.settle())
        await self._set_log_levels(last.plan, plan)
        if new.envoy.bootstrap != last.envoy.bootstrap:
            publish.write_bootstrap(new.envoy, self._rollout.layout)
            logger.warning("a part of the change takes effect when Envoy starts the next time")

    async def _set_log_levels(self, old: Plan, new: Plan) -> None:
        if not self._options.debug and log_levels(old) != log_levels(new):
            await self._envoy.set_log_levels(log_levels(new))

    async def _stop_settling(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._settling
            self._settling = None


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Large configurations are many objects, and each look at all of them takes a while."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def log_levels(plan: Plan) -> Mapping[str, str]:
    """Those of the first Gateway that has any: there is one Envoy."""
    levels = (gateway.telemetry.log_levels for gateway in plan.gateways.values())
    return next(filter(None, levels), {})


def summary(plan: Plan) -> str:
    """What a plan serves, in numbers."""
    routes = len({rule.route for rule in plan.rules.values()})
    backends = len({backend.backend for backend in plan.backends.values()})
    return f"{routes} route{_s(routes)}, {backends} backend{_s(backends)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
