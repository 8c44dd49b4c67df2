"""Directories of runs: whose they are, and whether somebody uses them."""

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from aigw.standalone.errors import RunError

MARK = ".aigw-run"
"""Only what holds this file is ever removed: a user may name any directory."""
# How often a directory is claimed that others make and remove at the same time.
TRIES = 5


def lock(directory: Path, operation: int = fcntl.LOCK_EX) -> int | None:
    """A descriptor with the lock of a directory; None where somebody else has it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        # It may have been removed, and made again, before the lock was there.
        if os.fstat(descriptor).st_ino == directory.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def is_held(directory: Path) -> bool:
    """Whether somebody has the lock; who starts is not disturbed."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove(directory: Path) -> None:
    """Removes a directory; what cannot be removed stays."""
    shutil.rmtree(directory, ignore_errors=True)


def remove_if_unused(directory: Path, remove: Callable[[Path], None] = remove) -> bool:
    """Removes what a run left behind that has ended; whether it did."""
    if directory.is_symlink() or not (directory / MARK).is_file():
        return False
    with contextlib.suppress(OSError):
        if (held := lock(directory)) is not None:
            remove(directory)
            os.close(held)
            return True
    return False


def check_is_run(directory: Path) -> None:
    """A directory that is there already must be one of a run, or empty.

    Raises:
        RunError: it is something else.
    """
    names = [path.name for path in directory.iterdir()]
    if names and MARK not in names:
        message = f"{directory} exists already and is not the directory of a run"
        raise RunError(message)


def made(directory: Path, what: str) -> None:
    """Makes a directory that is ours.

    Raises:
        RunError: something else stands there, or it belongs to somebody else.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        message = f"the {what} directory {directory} is not a directory"
        raise RunError(message) from None
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        message = f"the {what} directory {directory} belongs to somebody else"
        raise RunError(message)
