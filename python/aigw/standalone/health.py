"""Is the gateway of this machine well: asked from outside, within a second."""

import asyncio
import fcntl
import os
from pathlib import Path

from aigw.errors import AigwError
from aigw.standalone.admin import Admin
from aigw.standalone.layout import MARK, Layout

BUDGET_SECONDS = 1.0


class HealthError(AigwError):
    """No gateway runs here, or it does not serve; the text says which."""


def check(runtime_dir: Path, run_id: str | None) -> None:
    """Asks Envoy, and the ext_proc server where there is one.

    Without a run id, the one run below `runtime_dir` is meant.

    Raises:
        HealthError: it is not well.
    """
    layout = _layout(runtime_dir, run_id)
    try:
        asyncio.run(asyncio.wait_for(_check(layout), BUDGET_SECONDS))
    except TimeoutError:
        message = f"no answer within {BUDGET_SECONDS:.0f} s"
        raise HealthError(message) from None


async def _check(layout: Layout) -> None:
    if not layout.admin_socket.exists():
        message = "Failed to find Envoy admin server"
        raise HealthError(message)
    if not await Admin(layout.admin_socket).ready():
        message = f"Envoy admin server is not ready ({layout.admin_socket})"
        raise HealthError(message)
    if not layout.ext_proc_socket.exists():
        return
    try:
        _, writer = await asyncio.open_unix_connection(str(layout.ext_proc_socket))
    except OSError as error:
        message = f"the ext_proc server does not answer: {error.strerror}"
        raise HealthError(message) from None
    writer.close()


def _layout(runtime_dir: Path, run_id: str | None) -> Layout:
    if run_id is not None:
        return Layout(runtime_dir / run_id)
    runs = [path for path in _folders(runtime_dir) if _is_running(path)]
    if len(runs) != 1:
        many = f"{len(runs)} gateways run" if runs else "no gateway runs"
        message = f"{many} below {runtime_dir}" + (": name one with --run-id" if runs else "")
        raise HealthError(message)
    return Layout(runs[0])


def _folders(runtime_dir: Path) -> list[Path]:
    try:
        return [path for path in runtime_dir.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _is_running(folder: Path) -> bool:
    """Whether a run holds the lock of its directory; one that starts is not disturbed."""
    if not (folder / MARK).exists():
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
