"""Usage records when processes are killed: each request once, none lost."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import FakeProvider, Gate
from beds.chats import STREAM, UNARY, ask, chat
from beds.gateway import RunningGateway, await_ready, end, spawn
from beds.ledger import records
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection
from beds.resources import BackendSpec, gateway_yaml, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts


@pytest.fixture(scope="module")
def bed(loop_thread: LoopThread) -> Iterator[ProviderBed]:
    found = ProviderBed(loop_thread, FakeProvider())
    yield found
    found.stop()


@contextmanager
def started(folder: Path, host: tuple[str, ...]) -> Iterator[RunningGateway]:
    gateway = spawn((str(folder / "gateway.yaml"), *host), folder)
    try:
        await_ready(gateway)
        yield gateway
    finally:
        if gateway.process.poll() is None:
            end(gateway)


def kill(gateway: RunningGateway, what: str) -> None:
    pids = [] if what == "aigw" else [gateway.envoy_pid()]
    if what != "envoy":
        pids.append(gateway.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if what == "envoy":
        gateway.wait_until(lambda: "envoy serves again" in gateway.errors, "restart")
    else:
        below = gateway.descendants()
        gateway.process.wait()
        gateway.wait_until(lambda: not any(Path(f"/proc/{p}/exe").exists() for p in below), "end")


@pytest.mark.parametrize("what", ["envoy", "aigw", "both"])
def test_every_request_is_recorded_once(
    what: str, host: tuple[str, ...], free_port: FreePorts, bed: ProviderBed
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="aigw-test-"))
    text = gateway_yaml(free_port(), [BackendSpec("plain", bed.port)], [rule("m", "plain")])
    (folder / "gateway.yaml").write_text(text)
    ledger = folder / "state" / "ledger"
    found: list[dict[str, Any]] = []

    def outcomes() -> Counter[str]:
        found[:] = records(ledger)
        return Counter(record["outcome"] for record in found)

    bed.reset()
    bed.on(UNARY)
    try:
        with started(folder, host) as gateway:
            for _ in range(3):
                assert ask(gateway, chat("m")).status == 200
            gate = Gate()
            with RawConnection(gateway.port) as client:
                bed.on(STREAM.gated(1, gate))
                client.send(chat("m", stream=True))
                next(client.pieces(client.head()))
                kill(gateway, what)
            gate.open()
        bed.reset()
        bed.on(UNARY)
        with started(folder, host) as gateway:
            assert ask(gateway, chat("m")).status == 200
            gateway.wait_until(lambda: outcomes().total() >= 5, "records", 5)
        seen = outcomes()
        assert seen.pop("completed") == 4
        assert seen.total() == 1
        cut = next(record for record in found if record["outcome"] != "completed")
        # The ext_proc host outlives Envoy, if only for a moment: it may see the stream end.
        assert cut["outcome"] == "crashed" or "extproc" in host
        if cut["outcome"] == "crashed":
            assert cut["estimated"]
            assert (cut["routed_model"], cut["backend"]) == ("m", "default/plain")
            assert (cut["operation"], cut["route"]) == ("chat", "default/route")
        assert len({record["id"] for record in found}) == 5
        assert not list(folder.glob("run/*/core/*.map"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
