"""Files of one run: `<runtime-dir>/<run-id>/` goes when it ends, the state stays."""

import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aigw.standalone import locks, state
from aigw.standalone.errors import RunError
from aigw.standalone.locks import MARK

logger = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is there while a run lives. Directories are 0700, files 0600."""

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
    def admin_address(self) -> Path:
        """The address of Envoy's admin interface, once it is there."""
        return self.root / "admin-address.txt"

    @property
    def metrics_address(self) -> Path:
        """Holds `host:port` of our own admin port."""
        return self.root / "metrics-address.txt"

    @property
    def ext_proc_socket(self) -> Path:
        """The ext_proc server."""
        return self.root / "extproc.sock"


def ledger_of(state_home: Path | None, runtime_dir: Path) -> Path:
    """Where runs keep usage records."""
    return state.home(state_home, runtime_dir) / "ledger"


@dataclass(frozen=True, slots=True)
class Layout(Runtime):
    """Where things are: those of the runtime, and below `state` what outlives the run."""

    state: Path

    @property
    def records(self) -> Path:
        """Log of the launcher, and the configuration in force."""
        return self.state / "runs" / self.root.name

    @property
    def log(self) -> Path:
        """What the launcher says."""
        return self.records / "aigw.log"

    @property
    def envoy_logs(self) -> Path:
        """What Envoy prints."""
        return self.state / "envoy-runs" / self.root.name

    @property
    def ledger(self) -> Path:
        """Usage, of all runs."""
        return self.state / "ledger"


@contextlib.contextmanager
def created(runtime_dir: Path, run_id: str | None, state_home: Path | None) -> Iterator[Layout]:
    """Makes the directories of a run, and removes those of the runtime at the end.

    A run holds a lock on its directory for as long as it lives, and marks it. What a run left
    behind that was killed is marked and not locked: it is removed by the next one.

    Raises:
        RunError: a directory cannot be made, belongs to somebody else, or is in use.
    """
    root = runtime_dir / (run_id or _new_id(runtime_dir))
    if len(str(Runtime(root).ext_proc_socket)) > _SOCKET_PATH_LIMIT:
        message = f"the runtime directory {runtime_dir} is too long for Unix sockets"
        raise RunError(message)
    with contextlib.ExitStack() as stack:
        try:
            _make(root, stack)
        except OSError as error:
            message = f"cannot make the runtime directory {root}: {error.strerror}"
            raise RunError(message) from None
        for directory in runtime_dir.iterdir():
            locks.remove_if_unused(directory, discard)
        layout = Layout(root, state.home(state_home, runtime_dir))
        stack.enter_context(state.opened(layout.records, layout.envoy_logs, layout.ledger))
        yield layout


def discard(root: Path) -> None:
    """Removes the directory of a run that has ended; usage that is still in it is saved first.

    If the ledger cannot take it, it waits under another name for a later run. What may be secret
    does not wait.
    """
    from aigw import _core  # noqa: PLC0415 - not before there is something to run

    core = Runtime(root).core
    try:
        _core.recover_ledger(core)
    except _core.CoreError as error:
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


def running(runtime_dir: Path) -> list[Runtime]:
    """The runs that hold the lock of their directory; one that starts is not disturbed."""
    try:
        folders = [path for path in runtime_dir.iterdir() if not path.is_symlink()]
    except OSError:
        return []
    return [Runtime(path) for path in folders if (path / MARK).is_file() and locks.is_held(path)]


def _new_id(runtime_dir: Path) -> str:
    """`YYYYMMDD_HHMMSS_UUU`, the last part of the microseconds, that nobody has."""
    while True:
        now = datetime.now().astimezone()
        run_id = f"{now:%Y%m%d_%H%M%S}_{now.microsecond % 1000:03}"
        if not (runtime_dir / run_id).exists():
            return run_id
        time.sleep(0.001)


def _make(root: Path, stack: contextlib.ExitStack) -> None:
    locks.made(root.parent, "runtime")
    stack.callback(os.close, _claimed(root))
    stack.callback(discard, root)
    (root / MARK).touch(mode=0o600)
    for directory in (Runtime(root).core, Runtime(root).envoy):
        directory.mkdir(mode=0o700)


def _claimed(root: Path) -> int:
    """A new directory, locked: the descriptor that holds the lock."""
    for _ in range(locks.TRIES):
        with contextlib.suppress(FileExistsError):
            root.mkdir(mode=0o700)
            if (held := locks.lock(root)) is not None:
                return held
        if (held := locks.lock(root)) is None:
            break
        try:
            # It is marked, or its run was killed before that and it is empty.
            locks.check_is_run(root)
            discard(root)
        finally:
            os.close(held)
    message = f"a run with the id {root.name} exists already ({root})"
    raise RunError(message)
