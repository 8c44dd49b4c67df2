"""`aigw healthcheck` beside a running gateway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from beds.gateway import RunningGateway, run_gateway

if TYPE_CHECKING:
    from pathlib import Path

    from beds.ports import FreePorts


def health(runtime: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and complaint."""
    done = subprocess.run(
        [sys.executable, "-m", "aigw", "healthcheck", "--runtime-dir", str(runtime), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_gateway_that_serves_is_well(free_port: FreePorts, host: tuple[str, ...]) -> None:
    with run_gateway("--port", str(free_port()), *host) as gateway:
        folder = gateway.folder / "run"
        assert health(folder) == (0, "")
        assert health(folder, "--run-id", "test") == (0, "")
        assert health(folder, "--run-id", "other") == (
            1,
            "Health check failed: Failed to find Envoy admin server\n",
        )


def test_an_envoy_that_hangs_is_not_well(free_port: FreePorts) -> None:
    with run_gateway("--port", str(free_port())) as gateway:
        _check_hanging(gateway)


def _check_hanging(gateway: RunningGateway) -> None:
    pid = gateway.envoy_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        code, said = health(gateway.folder / "run")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (code, said) == (1, "Health check failed: no answer within 1 s\n")


def test_without_a_gateway_it_says_so(tmp_path: Path) -> None:
    assert health(tmp_path) == (1, f"Health check failed: no gateway runs below {tmp_path}\n")
    assert health(tmp_path, "--run-id", "a/b")[0] == 80
