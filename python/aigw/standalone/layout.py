"""Files of one run, below `<runtime-dir>/<run-id>/`. Nothing stays behind."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aigw.standalone.errors import RunError

_SOCKET_PATH_LIMIT = 107


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
    def ext_proc_socket(self) -> Path:
        """The ext_proc server."""
        return self.root / "extproc.sock"


@contextlib.contextmanager
def created(runtime_dir: Path, run_id: str | None) -> Iterator[Layout]:
    """Makes the directories of a run and removes them at the end.

    Raises:
        RunError: a directory cannot be made, belongs to somebody else, or is in use.
    """
    root = runtime_dir / (run_id or datetime.now().astimezone().strftime("%Y%m%d_%H%M%S_%f"))
    layout = Layout(root)
    if len(str(layout.ext_proc_socket)) > _SOCKET_PATH_LIMIT:
        message = f"the runtime directory {runtime_dir} is too long for Unix sockets"
        raise RunError(message)
    _make(runtime_dir, root)
    try:
        for directory in (layout.core, layout.envoy):
            directory.mkdir(mode=0o700)
        yield layout
    finally:
        shutil.rmtree(root, ignore_errors=True)


def write(path: Path, content: bytes) -> None:
    """Replaces a file at once; readers see the old content or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


def _make(runtime_dir: Path, root: Path) -> None:
    try:
        runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = runtime_dir.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            message = f"the runtime directory {runtime_dir} belongs to somebody else"
            raise RunError(message)
        root.mkdir(mode=0o700)
    except FileExistsError:
        message = f"a run with the id {root.name} exists already ({root})"
        raise RunError(message) from None
    except OSError as error:
        message = f"cannot make the runtime directory {root}: {error.strerror}"
        raise RunError(message) from None
