"""Every golden exchange through the real Envoy, in every host."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from beds.gateway import RunningGateway, run_gateway
from beds.golden import (
    BACKEND_HEADER,
    CELL_HEADER,
    Cell,
    GoldenProvider,
    cells,
    configuration,
    normal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

_AT_ONCE = 8


@pytest.fixture(scope="module")
def bed(
    any_host: tuple[str, ...], free_port: FreePorts
) -> Iterator[tuple[RunningGateway, GoldenProvider]]:
    """A gateway in front of the provider that answers as recorded."""
    provider = GoldenProvider()
    with (
        provider.running(),
        run_gateway(*any_host, config=configuration(free_port(), provider.port)) as gateway,
    ):
        yield gateway, provider


def test_every_exchange_is_as_recorded(bed: tuple[RunningGateway, GoldenProvider]) -> None:
    gateway, provider = bed

    def fault(cell: Cell) -> str | None:
        try:
            status, headers, body = _call(gateway.port, cell)
            _check_provider(cell, provider)
            _check_client(cell, status, headers, body)
        except AssertionError as error:
            return f"{cell.id}: {error}"
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        faults = [found for found in pool.map(fault, cells()) if found]
    assert not faults, "\n\n".join(faults)


def _call(port: int, cell: Cell) -> tuple[int, dict[str, str], bytes]:
    body, content_type = cell.request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {
            "content-type": content_type,
            CELL_HEADER: cell.id,
            BACKEND_HEADER: cell.backend,
        }
        connection.request("POST", cell.path, body, headers)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, response.read()
    finally:
        connection.close()


def _check_provider(cell: Cell, provider: GoldenProvider) -> None:
    received = provider.received.get(cell.id, [])
    want = cell.file("upstream.json") or cell.file("upstream.form")
    if want is None:
        assert not received, f"the provider got a request: {received[0].body!r}"
        return
    assert len(received) == 1, f"{len(received)} requests instead of one"
    got = received[0]
    if cell.file("upstream.form") is not None:
        assert got.body == want
    else:
        _same_json("provider", got.body, want)
    expect = cell.expect.get("upstream", {})
    for text in expect.get("contains", []):
        assert text in got.body.decode(), f"the provider's body lacks {text}"
    assert got.path == expect.get("path", got.path)
    for name, value in expect.get("headers", {}).items():
        assert got.headers.get(name) == value, f"{name}: {got.headers.get(name)}"


def _check_client(cell: Cell, status: int, headers: dict[str, str], body: bytes) -> None:
    expect = cell.expect.get("client", {})
    reply = cell.reply()
    if cell.file("upstream.json") is not None and reply is None:
        return
    text = normal(body.decode())
    if reply is not None and reply[0] == 200 and expect.get("outcome") == "failed":
        # Whether the error is the first thing to be seen is a matter of timing.
        assert "error" in text, text
        assert "[DONE]" not in text, text
        assert "event: message_stop" not in text, text
        return
    assert status == expect.get("status", status)
    for name, value in expect.get("headers", {}).items():
        assert headers.get(name) == value, f"{name}: {headers.get(name)}"
    if (stream := cell.file("client.sse")) is not None:
        assert text == stream.decode()
    elif (raw := cell.file("client.bin")) is not None:
        assert body == raw
    else:
        _same_json("client", text.encode(), cell.file("client.json") or b"null")


def _same_json(who: str, got: bytes, want: bytes) -> None:
    parsed: tuple[Any, Any] = (json.loads(got), json.loads(want))
    assert parsed[0] == parsed[1], f"{who}: {parsed[0]} instead of {parsed[1]}"
