"""Logs of runs: bounded, and for their owner only."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from aigw.standalone.logs import LIMIT, BoundedFile

if TYPE_CHECKING:
    from pathlib import Path

LINE = b"x" * 1023 + b"\n"


def test_a_log_is_bounded_and_lines_stay_whole(tmp_path: Path) -> None:
    log = BoundedFile(tmp_path / "log")
    piece = LINE * 100 + b"begun"
    for _ in range(3 * LIMIT // len(piece)):
        log.write(piece)
        log.write(b" and ended\n")
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log", "log.1"]
    for name in names:
        path = tmp_path / name
        assert path.stat().st_size <= LIMIT + len(piece)
        assert path.stat().st_mode & 0o777 == 0o600
        assert {*path.read_bytes().splitlines()} == {LINE[:-1], b"begun and ended"}


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for text in (b"a\n", b"b\n"):
        log = BoundedFile(tmp_path / "log")
        log.write(text)
        log.close()
    assert (tmp_path / "log").read_bytes() == b"a\nb\n"


def test_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    log = BoundedFile(tmp_path / "log")
    log.write(b"lost\n")
    log.close()


def test_output_that_nobody_reads_is_kept_all_the_same(tmp_path: Path) -> None:
    """Standard output of a process is one, so another process does it."""
    code = (
        "import os, sys, pathlib\n"
        "from aigw.standalone import outputs\n"
        f"with outputs.kept(pathlib.Path({str(tmp_path)!r})) as streams:\n"
        "    os.close(1)\n"
        "    os.open('/dev/full', os.O_WRONLY)\n"
        "    os.write(streams.stdout, b'a')\n"
        "    os.write(streams.stdout, b'b')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    assert (tmp_path / "stdout.log").read_bytes() == b"ab"


def test_output_is_passed_on_and_kept(tmp_path: Path) -> None:
    code = (
        "import os, pathlib\n"
        "from aigw.standalone import outputs\n"
        f"with outputs.kept(pathlib.Path({str(tmp_path)!r})) as streams:\n"
        "    os.write(streams.stdout, b'x' * 300_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert len(done.stdout) == 300_000
    assert (tmp_path / "stdout.log").stat().st_size == 300_000
