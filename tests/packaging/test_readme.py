"""Every command of the README, run."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from beds.gateway import READY
from beds.installs import ROOT, TIMEOUT, build_environment, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT)]

USUAL_PORT = 1975


def _port() -> int:
    """The usual port, or another one where somebody has it already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


PORT = _port()
README = (ROOT / "README.md").read_text().replace(f":{USUAL_PORT}", f":{PORT}")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)
SHELL = [code.strip() for language, code in BLOCKS if language == "sh"]
PYTHON = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment after the first half of the README's first command."""
    python = clean_environment(tmp_path_factory.mktemp("readme") / "env")
    environment = build_environment(python)
    install, _, _ = SHELL[0].partition(" && ")
    assert install == "python -m pip install ."
    subprocess.run(install.split(), cwd=ROOT, env=environment, check=True, timeout=TIMEOUT)
    return environment


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output") / "stderr"


@pytest.fixture(scope="module")
def running(environment: dict[str, str], output: Path) -> Iterator[None]:
    """The second half of the README's first command."""
    _, _, run = SHELL[0].partition(" && ")
    assert run == "aigw run"
    options = "" if PORT == USUAL_PORT else f" --port {PORT}"
    yield from _served(run + options, environment, output)


def _served(command: str, environment: dict[str, str], output: Path) -> Iterator[None]:
    with output.open("wb") as err:
        process = subprocess.Popen(
            command.split(), cwd=ROOT, env=environment, stderr=err, stdout=subprocess.DEVNULL
        )
    try:
        while READY.search(output.read_text()) is None:
            assert process.poll() is None, output.read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, output.read_text()


@pytest.mark.usefixtures("running")
def test_the_first_request_is_answered(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-ec", SHELL[1]], env=environment, capture_output=True, check=True
    )
    assert b"chat.completion" in done.stdout


@pytest.mark.usefixtures("running")
def test_the_sdk_example_prints_answers(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["python", "-c", PYTHON[0]], env=environment, capture_output=True, check=True
    )
    assert done.stdout.count(b"demo provider") == 2


@pytest.mark.usefixtures("running")
def test_the_example_file_is_served(environment: dict[str, str], tmp_path: Path) -> None:
    command = SHELL[2]
    assert command.startswith("aigw run examples/")
    text = (ROOT / command.split()[-1]).read_text()
    config = tmp_path / "gateway.yaml"
    # The demo of the first command still has the usual port.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config.write_text(text.replace(str(USUAL_PORT), str(port)))
    for _ in _served(f"aigw run {config}", environment, tmp_path / "stderr"):
        assert f"127.0.0.1:{port}" in (tmp_path / "stderr").read_text()


def test_a_file_is_checked_and_explained(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-ec", SHELL[3]], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"0 errors")
    assert b"POST https://api.openai.com/v1/chat/completions" in done.stdout


def test_the_test_command_is_what_ci_runs() -> None:
    assert SHELL[4] == "scripts/test"
    assert "exec scripts/test" in (ROOT / ".ci/run").read_text()
    assert len(SHELL) == 5
    assert len(PYTHON) == 1
