"""Configurations on their way from the controller to a data plane."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from aigw import _core
from aigw.controller import bundle as bundles
from aigw.extension.config_stream import ConfigStream, Report
from aigw.extproc.following import Following
from aigw.extproc.source import Source
from aigw.render.snapshot import Cutter, Snapshot
from beds.authority import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from beds.ports import FreePorts

GATEWAY = "default/edge"
SECONDS = 15


def snapshot(cutter: Cutter, generation: str, made_at: int, **backends: str) -> Snapshot:
    config: dict[str, Any] = {
        "version": 1,
        "generation": generation,
        "gateways": {GATEWAY: {}},
        "backends": {
            name: {
                "name": name,
                "backend": "default/b",
                "route": "default/r",
                "host": host,
                "schema": {"name": "OpenAI"},
            }
            for name, host in backends.items()
        },
    }
    return cutter.snapshot(config, {"version": 1, "credentials": {}}, made_at)


def files(runtime: Path) -> str:
    return str(json.loads((runtime / "config.json").read_bytes())["generation"])


async def until(stream: ConfigStream, generation: str) -> None:
    await reached(lambda: [item.generation for item in stream.reports(GATEWAY)] == [generation])


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(stream: ConfigStream, following: Following, address: str) -> AsyncIterator[None]:
    """Both ends."""
    server = await stream.serve(address)
    async with background(following):
        yield
    await server.stop(None)


@contextlib.asynccontextmanager
async def background(following: Following) -> AsyncIterator[None]:
    task = asyncio.create_task(following.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_data_plane_follows_and_reports(tmp_path: Path) -> None:
    heard: list[str] = []
    stream, cutter = ConfigStream(heard.append), Cutter()
    address = f"unix:{tmp_path}/stream.sock"
    runtime = tmp_path / "core"
    runtime.mkdir()
    stream.publish({GATEWAY: snapshot(cutter, "one", 1, a="h")})
    following = Following(Source(GATEWAY, "pod", address), runtime)
    async with running(stream, following, address):
        await asyncio.wait_for(following.first(), SECONDS)
        core = _core.ExtProcHost(str(runtime))
        await until(stream, "one")
        stream.publish({GATEWAY: snapshot(cutter, "two", 2, a="h", b="h")})
        assert await stream.confirmed({GATEWAY: "two"}, SECONDS)
        assert (files(runtime), stream.reports(GATEWAY)) == ("two", [Report("two")])
        assert set(heard) == {GATEWAY}
    assert not stream.reports(GATEWAY)
    assert await stream.confirmed({GATEWAY: "three"}, 0)
    del core


async def test_a_refused_configuration_is_reported_and_the_last_one_stays(tmp_path: Path) -> None:
    stream, cutter = ConfigStream(lambda _: None), Cutter()
    address = f"unix:{tmp_path}/stream.sock"
    runtime = tmp_path / "core"
    runtime.mkdir()
    stream.publish({GATEWAY: snapshot(cutter, "one", 1, a="h")})
    following = Following(Source(GATEWAY, "pod", address), runtime)
    wrong = cutter.snapshot(
        {"version": 9, "generation": "two", "backends": {}}, {"version": 1, "credentials": {}}, 2
    )
    async with running(stream, following, address):
        await asyncio.wait_for(following.first(), SECONDS)
        core = _core.ExtProcHost(str(runtime))
        await until(stream, "one")
        stream.publish({GATEWAY: wrong})
        assert await stream.confirmed({GATEWAY: "two"}, SECONDS)
        (report,) = stream.reports(GATEWAY)
        assert report.generation == "one"
        assert "version 9 is not supported" in report.error
        stream.publish({GATEWAY: snapshot(cutter, "three", 3, a="h")})
        await until(stream, "three")
    del core


async def test_mounted_secrets_are_used_while_the_controller_is_away(tmp_path: Path) -> None:
    runtime, mounted = tmp_path / "core", tmp_path / "mounted"
    runtime.mkdir()
    (mounted / "parts").mkdir(parents=True)
    cutter = Cutter()
    source = Source(GATEWAY, "pod", f"unix:{tmp_path}/nobody.sock", mounted=mounted)
    following = Following(source, runtime)
    async with background(following):
        mount(mounted, snapshot(cutter, "one", 1, a="h"), "a")
        await asyncio.wait_for(following.first(), SECONDS)
        (mounted / "parts" / "b-0").write_bytes(b"torn")
        mount(mounted, snapshot(cutter, "two", 2, a="h"), "b")
        await reached(lambda: files(runtime) == "two")


def mount(folder: Path, wanted: Snapshot, side: str) -> None:
    """As a kubelet would: the Secrets of a bundle as files."""
    *parts, index = bundles.bundle("default", "edge", wanted, side)
    for number, part in enumerate(parts):
        content = base64.b64decode(part["data"]["chunk"])
        (folder / "parts" / f"{side}-{number}").write_bytes(content)
    (folder / "index.json").write_bytes(base64.b64decode(index["data"]["index.json"]))


@pytest.mark.parametrize(
    ("named", "is_served"), [("default/edge", True), ("default/other", False), (None, False)]
)
async def test_a_data_plane_gets_what_its_certificate_names(
    tmp_path: Path, free_port: FreePorts, named: str | None, is_served: bool
) -> None:
    authority = Authority("controller")
    stream = ConfigStream(lambda _: None)
    stream.publish({GATEWAY: snapshot(Cutter(), "one", 1, a="h")})
    pair = authority.issue("localhost")
    credentials = grpc.ssl_server_credentials(
        [(pair.key.encode(), pair.chain.encode())], authority.pem.encode(), require_client_auth=True
    )
    port = free_port()
    server = await stream.serve(f"localhost:{port}", credentials)
    own = authority.issue("pod", *([f"aigw://gateway/{named}"] if named else []))
    for name, text in (("tls.crt", own.chain), ("tls.key", own.key), ("ca.crt", authority.pem)):
        (tmp_path / name).write_text(text)
    runtime = tmp_path / "core"
    runtime.mkdir()
    source = Source(GATEWAY, "pod", f"localhost:{port}", certificates=tmp_path)
    following = Following(source, runtime)
    async with background(following):
        try:
            await asyncio.wait_for(following.first(), SECONDS if is_served else 1)
            assert is_served
        except TimeoutError:
            assert not is_served
    await server.stop(None)


def test_names_of_secrets_are_those_of_the_contract() -> None:
    assert bundles.base_name("default", "gw") == "gw-default-3d45476e8d68"
    assert bundles.base_name("ns1", "gateway") == "gateway-ns1-c6d39be275c7"
    assert bundles.part_name("edge-team-a-10c08e960fa8", "b", 1) == (
        "edge-team-a-10c08e960fa8-part-005"
    )
    long = bundles.base_name("n" * 63, "g" * 253)
    assert len(long) == 253
    assert len(bundles.part_name(long, "a", 0)) == 253


def test_sides_take_turns_and_too_much_is_refused() -> None:
    found = bundles.bundle("default", "edge", snapshot(Cutter(), "one", 1), "a")
    index = found[-1]
    assert (bundles.next_side(None), bundles.next_side(index)) == ("a", "b")
    large = Snapshot("g", 1, (), "", {"00" * 32: bytes(bundles.PART_BYTES * bundles.PARTS)})
    with pytest.raises(bundles.TooLargeError, match="needs 5 Secrets"):
        bundles.bundle("default", "edge", large, "a")
