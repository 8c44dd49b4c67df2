"""A running variant: started, awaited, measured, stopped."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from benches import processes
from benches.variants import Launch, Site, Variant, VariantError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.005
LOG_TAIL = 1500


@dataclass
class Deployment:
    """One running instance of a variant.

    Attributes:
        variant: What runs.
        launch: How it was started.
        roots: Process ids whose trees belong to it.
        started: Monotonic time of the start.
        cold_start: Seconds from the start of its first process to its first 200.
    """

    variant: Variant
    launch: Launch
    roots: list[int]
    started: float
    cold_start: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log: Path | None = field(default=None, repr=False)

    @classmethod
    def start(cls, variant: Variant, site: Site) -> Self:
        """Starts the variant's processes.

        Raises:
            VariantError: The program cannot be started.
        """
        launch = variant.plan(site)
        started = time.monotonic()
        if launch.command is None:
            return cls(variant, launch, list(launch.pids), started)
        log = site.directory / "output.log"
        environment = {**os.environ, **launch.env}
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    launch.command, env=environment, stdout=output, stderr=output, cwd=log.parent
                )
        except OSError as error:
            message = f"cannot start {launch.command[0]}: {error.strerror}"
            raise VariantError(message) from error
        return cls(variant, launch, [process.pid], started, _process=process, _log=log)

    def await_ready(self, body: bytes) -> None:
        """Asks until a chat completion is answered with 200.

        Raises:
            VariantError: The program ended, or there was no 200 in time.
        """
        answer = "no connection"
        while time.monotonic() - self.started < READY_SECONDS:
            answer = ask(self.launch.url + self.variant.ready_path, body)
            if answer == "200":
                self.cold_start = time.monotonic() - self.started
                return
            if self._process and (code := self._process.poll()) is not None:
                message = f"ended with status {code}\n{self._tail()}".strip()
                raise VariantError(message)
            time.sleep(POLL_SECONDS)
        waited = f"not ready in {READY_SECONDS:.0f} s, last answer {answer}"
        message = f"{waited}\n{self._tail()}".strip()
        raise VariantError(message)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds so far by process name, with "total"."""
        return processes.cpu_seconds(self.roots, self.variant.processes)

    def settled_memory(self) -> dict[str, processes.Memory]:
        """Memory by process name, with "total", once it no longer moves."""
        return processes.settled_memory(self.roots, self.variant.processes)

    def stop(self) -> None:
        """Ends the processes that were started, children included."""
        if self._process is None:
            return
        family = {pid: processes.birth(pid) for pid in processes.tree(self.roots)}
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid, born in family.items():
            processes.end(pid, born)

    def _tail(self) -> str:
        if self._log is None:
            return ""
        return self._log.read_text(errors="replace")[-LOG_TAIL:].strip()


@contextmanager
def deployed(variant: Variant, site: Site, body: bytes) -> Iterator[Deployment]:
    """Starts a variant, waits for its first 200 and stops it at the end."""
    site.directory.mkdir(parents=True, exist_ok=True)
    deployment = Deployment.start(variant, site)
    try:
        deployment.await_ready(body)
        yield deployment
    finally:
        deployment.stop()


def ask(url: str, body: bytes) -> str:
    """Status of one POST, or what went wrong."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("POST", parts.path, body, {"content-type": "application/json"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
