"""The files of a configuration: read, and watched from before they were read.

A file counts as changed when another one stands at its path or its content was written: by an
editor, by rename, or by a symbolic link that points elsewhere, as in mounted ConfigMaps.
Looking at a handful of files needs no system call that waits, and works on any file system.
"""

import asyncio
import os
from pathlib import Path
from typing import NamedTuple

POLL = 0.1
# Whoever writes a file in steps is done when nothing has happened for so long.
_SETTLED = 0.05
# An empty file is about to be filled, and one that is gone about to be replaced.
_FILLED = 1.0


class _Stamp(NamedTuple):
    """What tells one content of a file from another."""

    size: int
    device: int
    inode: int
    written_ns: int
    changed_ns: int


class Files:
    """Files by path, and how they were when they were read."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._stamps: dict[Path, _Stamp | None] = {}

    def start(self) -> None:
        """Forgets all: what is read from now on is watched."""
        self._stamps = {}

    def read(self, name: str) -> str:
        """The text of a file; `~` is the user's home.

        Raises:
            OSError: it cannot be read; it is watched all the same.
            UnicodeDecodeError: it is no text.
        """
        path = Path(os.path.expanduser(name)).absolute()  # noqa: PTH111 - raises nothing
        self._stamps[path] = _stamp(path)
        return path.read_text(encoding="utf-8")

    async def changed(self) -> None:
        """Returns when a file has changed and nothing has happened for a moment."""
        while not self._differ():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(POLL)
        last: list[_Stamp | None] = []
        while (now := [_stamp(path) for path in self._stamps]) != last:
            last = now
            is_whole = all(stamp and stamp.size for stamp in now)
            await asyncio.sleep(_SETTLED if is_whole else _FILLED)

    def _differ(self) -> bool:
        return any(_stamp(path) != stamp for path, stamp in self._stamps.items())


def _stamp(path: Path) -> _Stamp | None:
    """None where there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - follows links, as reading does
    except (OSError, ValueError):  # a NUL in a path
        return None
    return _Stamp(found.st_size, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
