"""Child processes of the test run."""

from __future__ import annotations

import os
from pathlib import Path


def children() -> dict[int, str]:
    """The live children of this process: pid to command line."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            found[int(pid)] = _command(int(pid))
    return found


def alive(pid: int) -> bool:
    """Whether a process of that id exists, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _command(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "gone"
    return raw.replace(b"\0", b" ").decode(errors="replace").strip() or "defunct"
