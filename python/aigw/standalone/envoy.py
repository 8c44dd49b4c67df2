"""The Envoy of a run: started, watched, restarted, drained."""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aigw.render.envoy import log_arguments, log_targets
from aigw.standalone import binaries
from aigw.standalone.admin import Admin, AdminError
from aigw.standalone.errors import RunError
from aigw.standalone.outputs import Outputs
from aigw.standalone.process import Child, spawn

logger = logging.getLogger(__name__)

START_TIMEOUT = 30.0
# Envoy says so for each key of a client; docs/architecture.md says which parts are meant.
_UNFINISHED = "marked as work-in-progress."
_POLL = 0.01
_KEPT_LINES = 100
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_STABLE_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class EnvoyCommand:
    """How to start Envoy."""

    config: str
    concurrency: int | None
    log_arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def line(self) -> Sequence[str]:
        """The command line."""
        workers = self.concurrency or _workers()
        return (
            *(str(binaries.envoy()), "--config-path", self.config, "--disable-hot-restart"),
            *("--concurrency", str(workers), *self.log_arguments),
            # Connections of a listener that was replaced end with their next reply.
            *("--drain-strategy", "immediate"),
            *("--log-format", "%l %n %v", "--file-flush-interval-msec", "1000"),
        )


class Envoy:
    """One supervised Envoy."""

    def __init__(self, command: EnvoyCommand, admin: Admin, outputs: Outputs) -> None:
        """Knows how to start; nothing runs yet."""
        self.admin = admin
        self._outputs = outputs
        self._command = command
        self._child: Child | None = None
        self._lines: deque[tuple[float, str]] = deque(maxlen=_KEPT_LINES)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Starts Envoy and waits until it serves.

        Raises:
            RunError: it ended, did not become ready, or refused its configuration; the text has
                its last words.
        """
        self.admin.socket.unlink(missing_ok=True)
        command = self._command
        child = await spawn(
            "envoy", command.line(), self._log_line, command.environment, self._outputs.stdout
        )
        self._child = child
        deadline = time.monotonic() + START_TIMEOUT
        while not await self.admin.ready():
            if child.process.returncode is not None:
                await child.wait()
                raise RunError("\n  ".join([f"envoy ended with {_status(child)}:", *child.tail]))
            if time.monotonic() > deadline:
                message = f"envoy was not ready after {START_TIMEOUT:.0f} s"
                raise RunError(message)
            await asyncio.sleep(_POLL)
        await self._check_acceptance(child)

    async def _check_acceptance(self, child: Child) -> None:
        try:
            refused = await self.admin.refused()
        except AdminError as error:
            message = f"envoy was ready for a moment only: {error}"
            raise RunError(message) from None
        if refused:
            await child.stop()
            raise RunError("\n  ".join(["envoy refuses its configuration:", *child.tail]))

    async def supervise(self) -> None:
        """Restarts Envoy whenever it ends, with growing pauses. Runs until it is cancelled."""
        pause = _FIRST_PAUSE
        while self._child is not None:
            since = time.monotonic()
            await self._child.wait()
            if time.monotonic() - since > _STABLE_AFTER:
                pause = _FIRST_PAUSE
            logger.error("envoy ended with %s, restarting in %.1f s", _status(self._child), pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self.start()
            except RunError as error:
                logger.error("%s", error)  # noqa: TRY400 - the text says it all
            else:
                logger.info("envoy serves again")

    def refusals(self, since: float) -> list[str]:
        """What Envoy has said about updates that it refuses; `since` in monotonic time."""
        words = ("rejected", "Error adding", "update failure")
        said = (line for at, line in self._lines if at >= since)
        return [line for line in said if any(word in line for word in words)]

    async def set_log_levels(self, levels: Mapping[str, str]) -> None:
        """Changes the log levels, those of later starts too."""
        self._command = replace(self._command, log_arguments=tuple(log_arguments(levels)))
        try:
            for target in log_targets(levels):
                await self.admin.call("POST", target)
        except AdminError as error:
            logger.warning("log levels change when Envoy starts the next time: %s", error)

    def _log_line(self, line: str) -> None:
        if _UNFINISHED in line:
            return
        self._lines.append((time.monotonic(), line))
        self._outputs.error(line)

    async def drain(self, seconds: float) -> None:
        """Lets requests in progress end: no new connections, at most `seconds` of patience."""
        try:
            await self.admin.call("POST", "/healthcheck/fail")
            await self.admin.call("POST", "/drain_listeners")
            deadline = time.monotonic() + seconds
            while await self.admin.active_requests():
                if time.monotonic() > deadline:
                    logger.warning("requests are still in progress after %.0f s", seconds)
                    return
                await asyncio.sleep(0.05)
        except AdminError as error:
            logger.debug("drain: %s", error)

    async def stop(self) -> None:
        """Ends Envoy."""
        if self._child is not None:
            await self._child.stop()


def _workers() -> int:
    return len(os.sched_getaffinity(0))


def _status(child: Child) -> str:
    code = child.process.returncode
    return f"signal {-code}" if code is not None and code < 0 else f"status {code}"
