"""Child processes: started apart from the terminal, ended with us, never left behind."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aigw.standalone.errors import RunError

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 20
KILL_AFTER = 5.0

# What programs need to run; anything else may be a credential and is none of their business.
_NAMES = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"}
)
_PREFIXES = ("AIGW_", "COVERAGE_", "ENVOY_", "GRPC_", "LC_", "LD_", "MALLOC_", "PYTHON", "RUST_")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Child:
    """A running child process and the last lines that it wrote."""

    name: str
    process: asyncio.subprocess.Process
    tail: list[str] = field(default_factory=list)
    _reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    async def wait(self) -> int:
        """Waits for the end and for the last output; returns the exit status."""
        status = await self.process.wait()
        if self._reader is not None:
            await self._reader
        return status

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to end, then makes it end."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            try:
                async with asyncio.timeout(KILL_AFTER):
                    await self.process.wait()
            except TimeoutError:
                logger.warning("%s does not stop, killing it", self.name)
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
        await self.wait()


async def spawn(
    name: str,
    command: Sequence[str],
    on_line: Callable[[str], None],
    extra: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> Child:
    """Starts a command. Its standard error goes to `on_line`, its standard output to `stdout`.

    Without `stdout` it shares ours. Of our environment it sees what programs need, no keys of
    providers; `extra` comes besides.

    The child has a session of its own, so that an interrupt at the terminal reaches us alone
    and we can drain it; the kernel ends it if we die.

    Raises:
        RunError: the system cannot start it.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env={**_environment(os.environ), **(extra or {})},
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot start {name}: {reason}"
        raise RunError(message) from None
    child = Child(name, process)
    child._reader = asyncio.create_task(_read_lines(child, on_line))
    return child


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in ours.items() if name in _NAMES or name.startswith(_PREFIXES)
    }


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _read_lines(child: Child, on_line: Callable[[str], None]) -> None:
    stream = child.process.stderr
    if stream is None:
        return
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue  # a line beyond the buffer limit was dropped
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        child.tail = [*child.tail[-_TAIL_LINES:], text]
        # Nobody may be reading any more; the child must not block for that.
        with contextlib.suppress(OSError):
            on_line(text)
