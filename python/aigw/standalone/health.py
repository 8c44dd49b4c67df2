"""Is the gateway of this machine well: asked from outside, within a second."""

import asyncio
from pathlib import Path

from aigw.errors import AigwError
from aigw.standalone import layout as layouts
from aigw.standalone.admin import Admin
from aigw.standalone.layout import Runtime

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


async def _check(layout: Runtime) -> None:
    await ask(layout)
    try:
        address = layout.metrics_address.read_text()
    except OSError:  # it is still starting
        return
    await _ask_ourselves(address)


async def _ask_ourselves(address: str) -> None:
    """Asks the process that keeps the data plane running.

    Raises:
        HealthError: it does not answer, or says what is wrong.
    """
    host, _, port = address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(f"GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    except OSError as error:
        message = f"aigw does not answer at {address}: {error.strerror}"
        raise HealthError(message) from None
    if head.split()[1:2] != [b"200"]:
        raise HealthError(body.decode(errors="replace").strip() or f"no answer at {address}")


async def ask(layout: Runtime) -> None:
    """Asks the data plane.

    Raises:
        HealthError: it is not well.
    """
    try:
        address = layout.admin_address.read_text()
    except OSError:
        message = "Failed to find Envoy admin server"
        raise HealthError(message) from None
    if not await Admin(Path(address)).ready():
        message = f"Envoy admin server is not ready ({address})"
        raise HealthError(message)
    if not layout.ext_proc_socket.exists():
        return
    try:
        _, writer = await asyncio.open_unix_connection(str(layout.ext_proc_socket))
    except OSError as error:
        message = f"the ext_proc server does not answer: {error.strerror}"
        raise HealthError(message) from None
    writer.close()


def _layout(runtime_dir: Path, run_id: str | None) -> Runtime:
    if run_id is not None:
        return Runtime(runtime_dir / run_id)
    runs = layouts.running(runtime_dir)
    if len(runs) != 1:
        many = f"{len(runs)} gateways run" if runs else "no gateway runs"
        message = f"{many} below {runtime_dir}" + (": name one with --run-id" if runs else "")
        raise HealthError(message)
    return runs[0]
