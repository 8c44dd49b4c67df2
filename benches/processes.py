"""Processes of a variant: CPU time and memory from /proc, by name, over the whole tree."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PROC = Path("/proc")
TOTAL = "total"


@dataclass(frozen=True)
class Memory:
    """Memory of some processes in KiB.

    Attributes:
        rss: Resident set; pages shared between processes count in each of them.
        pss: Proportional set; shared pages are divided among all that map them.
    """

    rss: float
    pss: float


def tree(roots: list[int]) -> list[int]:
    """`roots` and all their living descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(int(entry.name))) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [pid for pid in roots if (PROC / str(pid)).exists()]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, []))
    return found


def label(pid: int, names: tuple[str, ...]) -> str | None:
    """The first of `names` that the program of `pid` is called, else "other"; None if it ended."""
    try:
        program = (PROC / str(pid) / "exe").readlink().name
        command = (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return None
    for name in names:
        if program.startswith(name) or command.startswith(name):
            return name
    return "other"


def cpu_seconds(roots: list[int], names: tuple[str, ...]) -> dict[str, float]:
    """CPU seconds since their start of the processes under `roots`, by name and in total."""
    return _by_name(roots, names, _cpu_of)


def harness_cpu_seconds() -> float:
    """CPU seconds of everything this harness started, ended processes included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_seconds([os.getpid()], ())[TOTAL] + ended.ru_utime + ended.ru_stime


def memory(roots: list[int], names: tuple[str, ...]) -> dict[str, Memory]:
    """Memory of the processes under `roots`, by name and in total."""
    rss = _by_name(roots, names, lambda pid: _memory_field(pid, "Rss"))
    pss = _by_name(roots, names, lambda pid: _memory_field(pid, "Pss"))
    return {name: Memory(rss[name], pss.get(name, 0.0)) for name in rss}


def settled_memory(
    roots: list[int], names: tuple[str, ...], limit: float = 10.0
) -> dict[str, Memory]:
    """Memory once the total has changed by less than 0.5 % for a second, or after `limit` s."""
    deadline = time.monotonic() + limit
    steady_since, last = time.monotonic(), memory(roots, names)
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = memory(roots, names)
        if abs(now[TOTAL].rss - last[TOTAL].rss) > 0.005 * last[TOTAL].rss:
            steady_since, last = time.monotonic(), now
        elif time.monotonic() - steady_since >= 1.0:
            return now
    return memory(roots, names)


def birth(pid: int) -> str | None:
    """When `pid` started, in ticks since boot: tells a process from a later one of its number."""
    fields = _stat(pid)
    return fields[19] if fields else None


def end(pid: int, born: str | None) -> None:
    """Kills the process `pid` born then, if it is still there: a child that outlived its parent."""
    if born is not None and birth(pid) == born:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _by_name(
    roots: list[int], names: tuple[str, ...], measure: Callable[[int], float]
) -> dict[str, float]:
    sums = dict.fromkeys((*names, TOTAL), 0.0)
    for pid in tree(roots):
        name = label(pid, names)
        if name is None:
            continue
        value = measure(pid)
        sums[name] = sums.get(name, 0.0) + value
        sums[TOTAL] += value
    return sums


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the command's name, so field 3 of proc(5) comes first."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_of(pid: int) -> float:
    """User and system time of all threads, ended ones included.

    The process CPU clock holds the sum that /proc/PID/stat shows as utime + stime, but in
    nanoseconds; the file's ticks of 10 ms would be several percent of a short round.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return stat_cpu_seconds(pid)


def stat_cpu_seconds(pid: int) -> float:
    """User and system time by /proc/PID/stat in seconds; 0 when the process has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _memory_field(pid: int, field: str) -> float:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    sizes = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return float(next(sizes, 0))
