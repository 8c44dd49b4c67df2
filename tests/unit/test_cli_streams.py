"""Commands whose surroundings are not as they should be: streams, files, terminals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aigw.cli import main
from beds.resources import BackendSpec, gateway_yaml, rule

CONFIG = gateway_yaml(1975, [BackendSpec("main", 8001)], [rule("m", "main")])


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A small file."""
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return str(path)


def shell(command: str, **variables: str) -> tuple[int, bytes, str]:
    """Exit code and outputs of a line for bash, in which `aigw` is the command."""
    script = f'set -o pipefail; aigw() {{ "{sys.executable}" -m aigw "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("aigw validate {config} | true", 1, ""),
        ("aigw validate {config} >&-", 0, ""),
        ("aigw validate /nowhere 2>&-", 1, ""),
        ("aigw validate - <&-", 1, "no Gateway found"),
        ("aigw version >/dev/full", 1, "cannot write: No space left on device"),
        ("aigw translate {config} >/dev/full", 1, "cannot write: No space left on device"),
        ("aigw validate '~nobody-of-this-name/x'", 1, "No such file"),
        ("aigw run '~nobody-of-this-name/x'", 1, "No such file"),
        ("aigw validate - - ", 80, "standard input can be read once only"),
        ("ulimit -v 4000000; aigw validate /dev/zero", 1, "the file is larger than 32 MiB"),
    ],
)
def test_no_stream_and_no_file_makes_a_command_crash(
    command: str, code: int, said: str, config: str
) -> None:
    found, _, errors = shell(command.format(config=config))
    assert found == code
    assert said in errors
    assert "Traceback" not in errors
    assert "Exception" not in errors


def test_what_a_locale_lacks_is_shown_all_the_same(config: str) -> None:
    latin = {"PYTHONIOENCODING": "latin-1"}
    for name in ("m…", os.fsdecode(b"\xff")):
        command = f"aigw explain {config} --model $'{name}' --output json"
        code, out, errors = shell(command, **latin)
        assert (code, errors) == (1, "")
        assert json.loads(out.decode())["model"] == name


def test_an_interrupt_is_not_an_error() -> None:
    command = [sys.executable, "-m", "aigw", "validate", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        call = Path(f"/proc/{process.pid}/syscall")
        deadline = time.monotonic() + 30
        while not call.read_text().startswith("0 0x0 "):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_secret_source_may_name_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secret.yaml"
    for source in ("~nobody-of-this-name/x", r"a\0b", str(tmp_path)):
        path.write_text(
            f"{CONFIG}---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations:\n"
            f'    substitution.aigw.run/file/k: "{source}"\nstringData: {{k: v}}\n'
        )
        assert main(["validate", str(path)]) == 0
        assert "the written value is kept" in capsys.readouterr().err


def test_a_place_without_a_line_shows_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(b"a: \x01\n")
    assert main(["validate", str(path)]) == 1
    assert f"error: {path} (document 1): invalid YAML" in capsys.readouterr().err


def test_a_number_without_end_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.yaml"
    for digits in ("9" * 5000, "0x" + "f" * 5000, "0" + "7" * 6000, "1e" + "9" * 5000):
        path.write_text(CONFIG.replace("port: 8001", f"port: {digits}"))
        assert main(["validate", str(path)]) == 1
        assert "Backend default/main: spec.endpoints[0].ip.port: " in capsys.readouterr().err
