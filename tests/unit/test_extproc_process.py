"""The ext_proc process: health, signals, bad starts. Both transports."""

from __future__ import annotations

import contextlib
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest

from aigw import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Unary: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"
Streams: TypeAlias = "grpc.StreamStreamMultiCallable[bytes, bytes]"

CONFIG = (
    b'{"version":1,"generation":"g","gateways":{"gw":{"models":[{"name":"m",'
    b'"owned_by":"o","created":1,"created_at":"2025-01-01T00:00:00Z"}]}},"backends":{}}'
)
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
TIMEOUT = 15.0
LIST_MODELS = (b":method", b"GET"), (b":path", b"/v1/models")


@dataclass(slots=True)
class Running:
    """A process and its socket."""

    process: subprocess.Popen[bytes]
    socket: Path

    def channel(self) -> grpc.Channel:
        """A gRPC channel."""
        return channel(self.socket)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime directory with one gateway and one model."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / "config.json").write_bytes(CONFIG)
    return folder


@pytest.fixture(params=["native", "grpcio"])
def transport(request: pytest.FixtureRequest) -> str:
    """The transport under test."""
    return str(request.param)


@pytest.fixture
def running(runtime: Path, transport: str) -> Iterator[Running]:
    """A process that listens."""
    with started(runtime, transport) as found:
        yield found


def command(runtime: Path, transport: str, *more: str) -> list[str]:
    path = str(runtime.parent / "s")
    arguments = ["--runtime", str(runtime), "--socket", path, "--transport", transport, *more]
    return [sys.executable, "-m", "aigw.extproc", *arguments]


@contextlib.contextmanager
def started(runtime: Path, transport: str, *more: str) -> Iterator[Running]:
    process = subprocess.Popen(command(runtime, transport, *more), stderr=subprocess.PIPE)
    found = Running(process, runtime.parent / "s")
    try:
        wait_until(lambda: process.poll() is not None or listens(found.socket))
        yield found
    finally:
        process.kill()
        process.wait(TIMEOUT)
        if process.stderr is not None:
            process.stderr.close()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "condition not met"
        time.sleep(0.01)


def channel(path: Path) -> grpc.Channel:
    # The authority that gRPC makes of a path is not a valid one.
    return grpc.insecure_channel(f"unix:{path}", (("grpc.default_authority", "localhost"),))


def check(channel: grpc.Channel) -> bytes:
    call: Unary = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
    return bytes(call(b"", timeout=TIMEOUT))


def length_delimited(field: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes((field << 3 | 2, len(value))) + value


def request_head(*headers: tuple[bytes, bytes]) -> bytes:
    """A `ProcessingRequest` with request headers that end the stream."""
    fields = [length_delimited(1, name) + length_delimited(3, value) for name, value in headers]
    header_map = b"".join(length_delimited(1, field) for field in fields)
    return length_delimited(2, length_delimited(1, header_map) + b"\x18\x01")


def process(channel: grpc.Channel, role: str, *messages: bytes) -> list[bytes]:
    name = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
    metadata = (("x-aigw-filter", role), ("x-aigw-gateway", "gw"))
    call: Streams = channel.stream_stream(name, None, None)
    return list(call(iter(messages), metadata=metadata, timeout=TIMEOUT))


def test_it_is_healthy_and_answers_on_a_private_socket(running: Running) -> None:
    with running.channel() as channel:
        assert check(channel) == SERVING
        (reply,) = process(channel, "request", request_head(*LIST_MODELS))
    assert b'"id":"m"' in reply
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600


def test_a_stream_without_a_role_is_refused(running: Running) -> None:
    with running.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        process(channel, "neither", request_head(*LIST_MODELS))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_bytes_that_are_no_message_end_their_stream_only(running: Running) -> None:
    with running.channel() as channel:
        with pytest.raises(grpc.RpcError):
            process(channel, "request", b"\xff\xff\xff")
        assert len(process(channel, "request", request_head(*LIST_MODELS))) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(running: Running, number: signal.Signals) -> None:
    running.process.send_signal(number)
    assert running.process.wait(TIMEOUT) == 0
    assert not listens(running.socket)


def test_a_stream_that_does_not_end_is_cut_after_the_drain(runtime: Path, transport: str) -> None:
    limit = ("--drain-seconds", "0.3")
    with started(runtime, transport, *limit) as running, running.channel() as channel:
        name = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
        metadata = (("x-aigw-filter", "request"), ("x-aigw-gateway", "gw"))
        head = request_head((b":method", b"POST"), (b":path", b"/v1/chat/completions"))
        done = False

        def messages() -> Iterator[bytes]:
            yield head.replace(b"\x18\x01", b"\x18\x00")
            wait_until(lambda: done)

        method: Streams = channel.stream_stream(name, None, None)
        call = method(messages(), metadata=metadata)
        assert next(iter(call))
        before = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(TIMEOUT) == 0
        done = True
        assert time.monotonic() - before > 0.25
        call.cancel()


def test_a_stale_socket_is_replaced(runtime: Path, transport: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(runtime.parent / "s"))
    with started(runtime, transport) as running, running.channel() as channel:
        assert check(channel) == SERVING


def test_a_missing_config_is_named(runtime: Path, transport: str) -> None:
    (runtime / "config.json").unlink()
    done = subprocess.run(
        command(runtime, transport), capture_output=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 1
    assert b"config.json" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_second_server_on_the_socket_is_refused(runtime: Path) -> None:
    path = str(runtime.parent / "s")
    server = _core.ExtProcServer(str(runtime), path, 1)
    server.start()
    try:
        assert server.is_serving
        other = _core.ExtProcServer(str(runtime), path, 1)
        with pytest.raises(_core.StartError, match="another server"):
            other.start()
        assert not other.is_serving
    finally:
        server.stop(0.0)
    assert not server.is_serving
    assert not Path(path).exists()


def test_health_turns_before_the_server_stops(runtime: Path) -> None:
    path = str(runtime.parent / "s")
    server = _core.ExtProcServer(str(runtime), path, 1)
    server.start()
    try:
        with channel(Path(path)) as found:
            server.set_not_ready()
            assert check(found) == NOT_SERVING
            assert not server.is_serving
    finally:
        server.stop(1.0)


def test_importing_the_core_starts_no_thread() -> None:
    code = "import os; from aigw import _core; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"1"
