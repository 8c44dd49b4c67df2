"""The ext_proc server of a run, as a child process."""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aigw.standalone.errors import RunError
from aigw.standalone.layout import Layout
from aigw.standalone.logs import say
from aigw.standalone.options import Transport
from aigw.standalone.process import Child, spawn

logger = logging.getLogger(__name__)

START_TIMEOUT = 15.0
_POLL = 0.01
_PAUSE = 0.5


@dataclass(slots=True)
class ExtProc:
    """A supervised ext_proc server."""

    layout: Layout
    transport: Transport
    debug: tuple[str, ...] = ()
    _child: Child | None = None

    async def start(self) -> None:
        """Starts the server and waits for its socket.

        Raises:
            RunError: it ended or did not listen in time.
        """
        child = await spawn("extproc", self._line(), _log_line)
        self._child = child
        deadline = time.monotonic() + START_TIMEOUT
        while not await _listens(self.layout.ext_proc_socket):
            if child.process.returncode is not None:
                await child.wait()
                raise RunError("\n  ".join(["the ext_proc server ended:", *child.tail]))
            if time.monotonic() > deadline:
                message = f"the ext_proc server did not listen after {START_TIMEOUT:.0f} s"
                raise RunError(message)
            await asyncio.sleep(_POLL)

    async def supervise(self) -> None:
        """Restarts the server whenever it ends. Runs until it is cancelled."""
        while self._child is not None:
            status = await self._child.wait()
            logger.error("the ext_proc server ended with %s, restarting", status)
            await asyncio.sleep(_PAUSE)
            try:
                await self.start()
            except RunError as error:
                logger.error("%s", error)  # noqa: TRY400 - the text says it all

    async def stop(self) -> None:
        """Ends the server."""
        if self._child is not None:
            await self._child.stop()

    def _line(self) -> Sequence[str]:
        return (
            *(sys.executable, "-m", "aigw.extproc", "--runtime", str(self.layout.core)),
            *("--socket", str(self.layout.ext_proc_socket), "--transport", self.transport.value),
            *self.debug,
        )


async def _listens(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True


def _log_line(line: str) -> None:
    say(f"extproc: {line}")
