"""`aigw run` as a user starts it: a process, its output, its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

READY = re.compile(r"listening on (https?://127\.0\.0\.1:(\d+)) .*after ([\d.]+)s")
START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0
POLL_INTERVAL = 0.01
# What a developer's shell may hold and a test must not see.
_FOREIGN = re.compile(r"^(OPENAI_|ANTHROPIC_|AZURE_|AWS_|AIGW_|OTEL_)|_(PROXY|proxy)$")


class GatewayError(AssertionError):
    """The gateway did not do what the test needs; the text ends with its output."""


@dataclass(slots=True)
class RunningGateway:
    """A gateway process. `url` and `port` are known once it is ready."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str = ""
    port: int = 0

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def output(self) -> str:
        """Standard output so far: the access log."""
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def runtime(self) -> Path:
        """The directory of this run."""
        return self.folder / "run" / "test"

    @property
    def core(self) -> Path:
        """The runtime directory of the core."""
        return self.runtime / "core"

    def access_log(self, count: int = 1) -> list[dict[str, Any]]:
        """Waits for this many access-log lines and returns all."""
        self.wait_until(lambda: len(self._log_lines()) >= count, f"{count} access-log lines")
        return [json.loads(line) for line in self._log_lines()]

    def _log_lines(self) -> list[str]:
        complete, _, _ = self.output.rpartition("\n")
        return [line for line in complete.splitlines() if line.startswith("{")]

    def descendants(self) -> list[int]:
        """Process ids below the gateway, by command name."""
        pids = [self.process.pid]
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    pids += [int(child) for child in task.read_text().split()]
        return pids[1:]

    def envoy_pid(self) -> int:
        """The Envoy that it runs."""
        for pid in self.descendants():
            with contextlib.suppress(OSError):
                if "envoy" in Path(f"/proc/{pid}/comm").read_text():
                    return pid
        raise self.failure("no envoy process")

    def wait_until(
        self, condition: Callable[[], object], what: str, timeout: float = START_TIMEOUT
    ) -> None:
        """Polls a condition.

        Raises:
            GatewayError: it stayed false for `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise self.failure(f"no {what} within {timeout} s")
            time.sleep(POLL_INTERVAL)

    def interrupt(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal, waits for the end, returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT)

    def failure(self, what: str) -> GatewayError:
        """An error with the end of the output."""
        return GatewayError(f"{what}\n--- stderr ---\n{self.errors[-6000:]}")


def environment(extra: Mapping[str, str], folder: Path) -> dict[str, str]:
    """An environment without the developer's own keys."""
    clean = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    clean["AIGW_CONFIG_HOME"] = str(folder / "config")
    clean["AIGW_STATE_HOME"] = str(folder / "state")
    kept = ("AIGW_ENVOY_MODULE",)
    clean.update({name: os.environ[name] for name in kept if name in os.environ})
    return {**clean, **extra}


def spawn(
    arguments: tuple[str, ...], folder: Path, extra: Mapping[str, str] | None = None
) -> RunningGateway:
    """Starts `aigw run` without waiting for anything."""
    fixed = ("--runtime-dir", str(folder / "run"), "--run-id", "test")
    command = [sys.executable, "-m", "aigw", "run", *fixed, *arguments]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment(extra or {}, folder),
            cwd=folder,
        )
    return RunningGateway(process, folder)


@contextlib.contextmanager
def run_gateway(
    *arguments: str, config: str | None = None, extra: Mapping[str, str] | None = None
) -> Iterator[RunningGateway]:
    """A gateway that is ready; `config` is the text of its file.

    On the way out it must end cleanly within 30 s and leave neither process nor file.

    Raises:
        GatewayError: it did not start or did not end as it should.
    """
    with tempfile.TemporaryDirectory(prefix="aigw-test-") as name:
        folder = Path(name)
        if config is not None:
            (folder / "gateway.yaml").write_text(config)
            arguments = (str(folder / "gateway.yaml"), *arguments)
        gateway = spawn(arguments, folder, extra)
        try:
            await_ready(gateway)
            yield gateway
        except GatewayError:
            raise
        except BaseException as error:
            error.add_note(str(gateway.failure("the gateway was running")))
            raise
        finally:
            end(gateway)


def await_ready(gateway: RunningGateway) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while (match := READY.search(gateway.errors)) is None:
        if gateway.process.poll() is not None:
            raise gateway.failure(f"the gateway ended with {gateway.process.returncode}")
        if time.monotonic() > deadline:
            raise gateway.failure("the gateway was not ready in time")
        time.sleep(POLL_INTERVAL)
    gateway.url, gateway.port = match[1], int(match[2])


def end(gateway: RunningGateway) -> None:
    below = gateway.descendants()
    if gateway.process.poll() is None:
        try:
            status = gateway.interrupt()
        except subprocess.TimeoutExpired:
            gateway.process.kill()
            gateway.process.wait()
            raise gateway.failure("the gateway did not stop") from None
        assert status == 0, gateway.failure(f"the gateway ended with {status}")
    left = [pid for pid in below if Path(f"/proc/{pid}/exe").exists()]
    assert not left, f"processes left behind: {left}"
    assert not gateway.runtime.exists(), f"files left behind: {gateway.runtime}"
