"""Programs of the bed: started with a log, watched while something is awaited, ended for sure."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from beds.gateway import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Value = TypeVar("Value")
POLL_INTERVAL = 0.03
STOP_TIMEOUT = 15.0
LOG_TAIL = 40


class BedError(AssertionError):
    """The bed did not do what the test needs."""


def wait(condition: Callable[[], Value | None], what: str, timeout: float = 20.0) -> Value:
    """The first true value of a condition.

    Raises:
        BedError: there was none for `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            message = f"no {what} within {timeout} s"
            raise BedError(message)
        time.sleep(POLL_INTERVAL)
    return value


@dataclass(slots=True)
class Program:
    """A running program that writes a log."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path
    _before: int = 0

    @classmethod
    def start(
        cls,
        name: str,
        command: list[str | Path],
        folder: Path,
        extra: Mapping[str, str] | None = None,
    ) -> Program:
        """Starts it; it dies with the thread that calls, whatever happens."""
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        log_file = folder / f"{name}.log"
        before = log_file.stat().st_size if log_file.exists() else 0
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [*guard, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(extra or {}, folder),
                cwd=folder,
                start_new_session=True,
            )
        return cls(name, process, log_file, before)

    @property
    def log(self) -> str:
        """What it has written so far; the file also has what its predecessors wrote."""
        return self.log_file.read_bytes()[self._before :].decode(errors="replace")

    def wait(
        self, condition: Callable[[], Value | None], what: str, timeout: float = 60.0
    ) -> Value:
        """As the function of that name, and fails early when the program ends."""

        def alive_or_done() -> Value | None:
            if self.process.poll() is not None:
                raise self.failure(f"{self.name} ended with {self.process.returncode}")
            return condition()

        try:
            return wait(alive_or_done, what, timeout)
        except BedError as error:
            raise error if "--- log" in str(error) else self.failure(str(error)) from None

    def failure(self, what: str) -> BedError:
        """An error with the end of the log."""
        tail = "\n".join(self.log.splitlines()[-LOG_TAIL:])
        return BedError(f"{what}\n--- log of {self.name} ---\n{tail}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and everything that it has started."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
