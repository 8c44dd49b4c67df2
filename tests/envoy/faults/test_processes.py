"""What happens to the processes and files of a gateway while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource as limits
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import Gate
from beds.chats import (
    EVENTS,
    STREAM,
    ask,
    chat,
    cpu_seconds,
    error_of,
    memory,
    nothing_left,
    open_slots,
    still_serves,
)
from beds.gateway import RunningGateway, run_gateway
from beds.raw_http import RawConnection, Response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beds.faults import Beds
    from beds.ports import FreePorts


Write = Callable[[dict[str, Any]], None]
CREDENTIAL = "default/keyed"


def replace_file(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


@pytest.fixture
def credentials(gateway: RunningGateway) -> Iterator[Write]:
    """Replaces the credentials in force; the old ones come back after the test."""
    path = gateway.core / "credentials.json"
    before = path.read_text()

    def write(found: dict[str, Any]) -> None:
        replace_file(path, json.dumps({"version": 1, "credentials": found}))

    yield write
    replace_file(path, before)
    gateway.wait_until(lambda: ask(gateway, chat("keyed")).status == 200, "old credentials")


def refused_for_lack_of_credentials(gateway: RunningGateway) -> Response:
    found: list[Response] = []

    def refused() -> bool:
        found.append(ask(gateway, chat("keyed")))
        return found[-1].status != 200

    gateway.wait_until(refused, "new credentials")
    return found[-1]


def test_a_request_without_its_credential_is_a_503_that_says_when_to_come_back(
    gateway: RunningGateway, beds: Beds, credentials: Write
) -> None:
    credentials({})
    response = refused_for_lack_of_credentials(gateway)
    assert response.status == 503
    assert int(response.head.header("retry-after") or 0) > 0
    assert "the credential of backend default/keyed is not available" in error_of(response)
    reached = len(beds.bed.received)
    assert ask(gateway, chat("keyed")).status == 503
    assert len(beds.bed.received) == reached
    still_serves(gateway)


def test_a_backend_without_its_credential_is_not_passed_over(
    gateway: RunningGateway, beds: Beds, credentials: Write
) -> None:
    """Envoy repeats no request that a filter in front of a provider has answered."""
    credentials({})
    refused_for_lack_of_credentials(gateway)
    beds.bed.reset()
    response = ask(gateway, chat("key-or-plain"))
    assert response.status == 503
    assert "the credential of backend default/keyed is not available" in error_of(response)
    assert beds.bed.received == []


def test_a_request_waits_for_its_credential(
    gateway: RunningGateway, beds: Beds, credentials: Write
) -> None:
    credentials({})
    refused_for_lack_of_credentials(gateway)
    beds.bed.reset()
    with RawConnection(gateway.port) as client:
        client.send(chat("keyed"))
        gateway.wait_until(lambda: open_slots(gateway) == 1, "waiting request")
        assert beds.bed.received == []
        credentials({CREDENTIAL: {"type": "APIKey", "key": "a-new-key"}})
        assert client.response().status == 200
    assert beds.bed.only().header_values("authorization") == ["Bearer a-new-key"]


def test_a_client_that_leaves_while_its_request_waits_leaves_nothing(
    gateway: RunningGateway, beds: Beds, credentials: Write
) -> None:
    credentials({})
    refused_for_lack_of_credentials(gateway)
    beds.bed.reset()
    with RawConnection(gateway.port) as client:
        client.send(chat("keyed"))
        gateway.wait_until(lambda: open_slots(gateway) == 1, "waiting request")
    nothing_left(gateway)
    assert beds.bed.received == []
    still_serves(gateway)


def test_a_new_configuration_is_taken_over_and_a_bad_one_is_not(
    gateway: RunningGateway, beds: Beds
) -> None:
    assert beds.bed.received == []
    path = gateway.core / "config.json"

    def status() -> dict[str, Any]:
        found: dict[str, Any] = json.loads((gateway.core / "status.json").read_text())
        return found

    before = path.read_text()
    config = json.loads(before)
    name, entry = next(iter(config["backends"].items()))
    config["backends"][f"{name}-new"] = entry
    replace_file(path, json.dumps({**config, "generation": "new"}))
    gateway.wait_until(lambda: status()["generation"] == "new", "new generation")
    replace_file(path, '{"version": 1, "backends": ')
    gateway.wait_until(lambda: status()["error"], "complaint")
    assert status()["generation"] == "new"
    still_serves(gateway)
    replace_file(path, before)
    gateway.wait_until(lambda: status()["generation"] == config["generation"], "old generation")
    assert status()["error"] is None


def test_an_idle_gateway_rests(gateway: RunningGateway, beds: Beds) -> None:
    still_serves(gateway)
    beds.bed.finished()
    nothing_left(gateway)
    before = cpu_seconds(gateway)
    with pytest.raises(subprocess.TimeoutExpired):
        gateway.process.wait(1.0)
    assert cpu_seconds(gateway) - before < 0.2


def test_a_killed_envoy_comes_back_under_load(
    host: tuple[str, ...], free_port: FreePorts, beds: Beds
) -> None:
    served = threading.Semaphore(0)
    stop = threading.Event()

    def load(gateway: RunningGateway) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                if ask(gateway, chat("m")).status == 200:
                    served.release()

    with run_gateway(*host, config=beds.configuration(free_port())) as gateway:
        clients = [threading.Thread(target=load, args=(gateway,)) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            assert all(served.acquire(timeout=10) for _ in range(20))
            os.kill(gateway.envoy_pid(), signal.SIGKILL)
            gateway.wait_until(lambda: "envoy serves again" in gateway.errors, "restart")
            assert all(served.acquire(timeout=10) for _ in range(100))
        finally:
            stop.set()
            for client in clients:
                client.join()
        still_serves(gateway)


STREAMS = 2000
MEMORY_PER_STREAM = 200 * 1024


async def begin_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends a stream request and reads up to its first event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(chat("m", ("connection", "close"), stream=True))
    await reader.readuntil(EVENTS[0])
    return reader, writer


async def end_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.slow
async def test_2000_streams_at_a_time_are_served_in_bounded_memory(
    host: tuple[str, ...], free_port: FreePorts, beds: Beds
) -> None:
    soft, hard = limits.getrlimit(limits.RLIMIT_NOFILE)
    if soft < 4 * STREAMS:
        limits.setrlimit(limits.RLIMIT_NOFILE, (min(4 * STREAMS, hard), hard))
    gate = Gate()
    beds.bed.on(STREAM.gated(1, gate))
    with run_gateway(*host, config=beds.configuration(free_port())) as gateway:
        before = memory(gateway)
        async with asyncio.timeout(90):
            started = [
                stream
                for _ in range(0, STREAMS, 100)
                for stream in await asyncio.gather(
                    *(begin_stream(gateway.port) for _ in range(100))
                )
            ]
            assert open_slots(gateway) == STREAMS
            assert memory(gateway) - before < STREAMS * MEMORY_PER_STREAM
            gate.open()
            ends = await asyncio.gather(*(end_stream(*stream) for stream in started))
        assert all(b"data: [DONE]\n\n" in end for end in ends)
        nothing_left(gateway)
