"""Files of one run, below `<runtime-dir>/<run-id>/`. Nothing stays behind."""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aigw.standalone.errors import RunError

logger = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 107
# How often a directory is claimed that others make and remove at the same time.
_TRIES = 5
MARK = ".aigw-run"
"""Only what holds this file is ever removed: a user may name any directory."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are. Directories are 0700, files 0600."""

    root: Path

    @property
    def core(self) -> Path:
        """Runtime directory of the core: filter config, credentials, status."""
        return self.root / "core"

    @property
    def envoy(self) -> Path:
        """Bootstrap and dynamic configuration of Envoy."""
        return self.root / "envoy"

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface."""
        return self.root / "admin.sock"

    @property
    def metrics_address(self) -> Path:
        """Holds `host:port` of our own admin port."""
        return self.root / "metrics-address.txt"

    @property
    def ext_proc_socket(self) -> Path:
        """The ext_proc server."""
        return self.root / "extproc.sock"

    @property
    def ledger(self) -> Path:
        """Usage, of all runs: it outlives them."""
        return ledger_of(self.root.parent)


def ledger_of(runtime_dir: Path) -> Path:
    """Where runs below a directory keep usage records."""
    return runtime_dir / "ledger"


@contextlib.contextmanager
def created(runtime_dir: Path, run_id: str | None) -> Iterator[Layout]:
    """Makes the directories of a run and removes them at the end.

    A run holds a lock on its directory for as long as it lives, and marks it. What a run left
    behind that was killed is marked and not locked: it is removed by the next one.

    Raises:
        RunError: a directory cannot be made, belongs to somebody else, or is in use.
    """
    root = runtime_dir / (run_id or datetime.now().astimezone().strftime("%Y%m%d_%H%M%S_%f"))
    layout = Layout(root)
    if len(str(layout.ext_proc_socket)) > _SOCKET_PATH_LIMIT:
        message = f"the runtime directory {runtime_dir} is too long for Unix sockets"
        raise RunError(message)
    with contextlib.ExitStack() as stack:
        try:
            _check_parent(runtime_dir)
            stack.callback(os.close, _claimed(root))
            stack.callback(discard, root)
            (root / MARK).touch(mode=0o600)
            for directory in (layout.core, layout.envoy):
                directory.mkdir(mode=0o700)
        except OSError as error:
            message = f"cannot make the runtime directory {root}: {error.strerror}"
            raise RunError(message) from None
        _sweep(runtime_dir)
        yield layout


def discard(root: Path) -> None:
    """Removes the directory of a run that has ended; usage that is still in it is saved first.

    If the ledger cannot take it, it waits under another name for a later run. What may be secret
    does not wait.
    """
    from aigw import _core  # noqa: PLC0415 - not before there is something to run

    core = Layout(root).core
    try:
        _core.recover_ledger(core)
    except _core.LedgerError as error:
        logger.warning("usage records wait for the next run: %s", error)
        for path in [*root.iterdir(), *core.iterdir()]:
            if path not in {core, root / MARK, core / "config.json"} and path.suffix != ".map":
                _remove_path(path)
        with contextlib.suppress(OSError):
            root.rename(root.with_name(f"left-{secrets.token_hex(8)}"))
    else:
        shutil.rmtree(root, ignore_errors=True)


def _remove_path(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def running(runtime_dir: Path) -> list[Layout]:
    """The runs that hold the lock of their directory; one that starts is not disturbed."""
    try:
        folders = [path for path in runtime_dir.iterdir() if not path.is_symlink()]
    except OSError:
        return []
    return [Layout(path) for path in folders if (path / MARK).is_file() and _is_held(path)]


def _is_held(directory: Path) -> bool:
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


def write(path: Path, content: bytes) -> None:
    """Replaces a file at once; readers see the old content or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


def _check_parent(runtime_dir: Path) -> None:
    try:
        runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        message = f"the runtime directory {runtime_dir} is not a directory"
        raise RunError(message) from None
    status = runtime_dir.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        message = f"the runtime directory {runtime_dir} belongs to somebody else"
        raise RunError(message)


def _claimed(root: Path) -> int:
    """A new directory, locked: the descriptor that holds the lock."""
    for _ in range(_TRIES):
        with contextlib.suppress(FileExistsError):
            root.mkdir(mode=0o700)
            if (lock := _lock(root)) is not None:
                return lock
        if (lock := _lock(root)) is None:
            break
        try:
            _remove(root)
        finally:
            os.close(lock)
    message = f"a run with the id {root.name} exists already ({root})"
    raise RunError(message)


def _remove(root: Path) -> None:
    """Removes what a run left behind: it is marked, or was killed before that and is empty."""
    names = [path.name for path in root.iterdir()]
    if names and MARK not in names:
        message = f"{root} exists already and is not the directory of a run"
        raise RunError(message)
    discard(root)


def _lock(directory: Path) -> int | None:
    """A descriptor with the lock of a directory; None where somebody else has it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been removed, and made again, before the lock was there.
        if os.fstat(descriptor).st_ino == directory.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _sweep(runtime_dir: Path) -> None:
    """Removes what runs left behind that were killed: their credentials above all."""
    for directory in runtime_dir.iterdir():
        if directory.is_symlink() or not (directory / MARK).is_file():
            continue
        with contextlib.suppress(OSError):
            if (lock := _lock(directory)) is not None:
                discard(directory)
                os.close(lock)
