"""What outlives a run, in the state home: logs and configurations by run, and the usage ledger."""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from aigw.standalone import locks
from aigw.standalone.errors import RunError
from aigw.standalone.locks import MARK

logger = logging.getLogger(__name__)

KEPT_RUNS = 10
"""With the one that starts; older ones are removed, but none that is alive."""
_USUAL = "~/.local/state/aigw"
_PAUSE = 0.01


def home(asked: Path | None, runtime_dir: Path) -> Path:
    """The state home: what was asked for, else the usual place.

    A user without a home, or with one that cannot be written, as in some containers, gets a
    place beside the runtime directory, and is told so.
    """
    if asked is not None:
        return asked
    usual = Path(os.path.expanduser(_USUAL))  # noqa: PTH111 - raises nothing
    try:
        if usual.is_absolute():
            usual.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(usual, os.W_OK | os.X_OK):
                return usual
    except OSError:
        pass
    found = runtime_dir / "state"
    logger.warning("%s cannot be written: logs are in %s, see --state-home", _USUAL, found)
    return found


@contextlib.contextmanager
def opened(records: Path, envoy_logs: Path, ledger: Path) -> Iterator[None]:
    """Makes the directories of a run that stay, and removes those of the oldest runs.

    Raises:
        RunError: a directory cannot be made, or belongs to somebody else.
    """
    try:
        for directory in (records.parent, envoy_logs.parent, ledger):
            locks.made(directory, "state")
        lock = _claimed(records)
        _mark(envoy_logs)
        _prune(records.parent, envoy_logs.parent)
    except OSError as error:
        message = f"cannot make the state directory {error.filename}: {error.strerror}"
        raise RunError(message) from None
    try:
        yield
    finally:
        os.close(lock)


def _claimed(records: Path) -> int:
    """The directory, marked and locked. Runs of the same id elsewhere may share it."""
    for _ in range(locks.TRIES):
        with contextlib.suppress(FileNotFoundError):
            locks.made(records, "state")
            if (held := locks.lock(records, fcntl.LOCK_SH)) is not None:
                _mark(records)
                return held
        time.sleep(_PAUSE)
    message = f"somebody else removes {records}"
    raise RunError(message)


def _mark(directory: Path) -> None:
    locks.made(directory, "state")
    locks.check_is_run(directory)
    directory.chmod(0o700)
    (directory / MARK).touch(mode=0o600)


def _prune(runs: Path, envoy_runs: Path) -> None:
    marks = sorted(runs.glob(f"*/{MARK}"), key=_age)
    for mark in marks[KEPT_RUNS:]:
        locks.remove_if_unused(mark.parent)
    for directory in envoy_runs.iterdir():
        if not (runs / directory.name).exists():
            locks.remove_if_unused(directory)


def _age(mark: Path) -> float:
    try:
        return -mark.stat().st_mtime
    except FileNotFoundError:
        return 0.0
