"""The admin port."""

from __future__ import annotations

import asyncio
import logging
import socket

import httpx
import pytest

from aigw.observe import DEFAULT_PORT, ObserveError
from aigw.observe.admin import Pages, serving

LOCAL = "127.0.0.1"


class _Gateway:
    """What the pages tell."""

    def __init__(self) -> None:
        self.why = ""
        self.text = b"a 1\n"

    async def metrics(self) -> bytes:
        return self.text

    async def health(self) -> str:
        if self.why == "fault":
            raise ValueError
        return self.why

    @property
    def pages(self) -> Pages:
        return Pages(self.metrics, self.health)


async def get(address: str, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(method, f"http://{address}{path}")


async def test_metrics_and_health_are_on_offer() -> None:
    gateway = _Gateway()
    async with serving(LOCAL, 0, gateway.pages) as address:
        found = await get(address, "/metrics?name[]=a")
        assert (found.status_code, found.content) == (200, b"a 1\n")
        assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = await get(address, "/health")
        assert (found.status_code, found.text) == (200, "OK\n")
        gateway.why = "unhealthy status: NOT_SERVING"
        found = await get(address, "/health")
        assert (found.status_code, found.text) == (500, "unhealthy status: NOT_SERVING\n")
        found = await get(address, "/metrics", "HEAD")
        assert (found.headers["content-length"], found.content) == ("4", b"")
        assert (await get(address, "/")).status_code == 404
        assert (await get(address, "/metrics", "POST")).status_code == 405


async def test_who_says_nothing_and_a_fault_keep_nobody_else_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = _Gateway()
    gateway.text = b"x" * 20_000_000
    async with serving(LOCAL, 0, gateway.pages) as address:
        port = int(address.rpartition(":")[2])
        silent = [await asyncio.open_connection(LOCAL, port) for _ in range(20)]
        for _, writer in silent[:10]:
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        for _, writer in silent[10:15]:
            writer.write(b"x" * 40_000)
        gateway.why = "fault"
        with pytest.raises(httpx.RemoteProtocolError):
            await get(address, "/health")
        gateway.why = ""
        assert (await get(address, "/health")).status_code == 200
        for _, writer in silent:
            writer.close()
    assert "ValueError" in caplog.text


async def test_a_port_that_is_taken_is_an_error_only_where_it_was_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((LOCAL, DEFAULT_PORT))
        except OSError:
            pass  # by somebody else, which is as good
        else:
            taken.listen()
        async with serving(LOCAL, None, _Gateway().pages) as address:
            assert (await get(address, "/health")).status_code == 200
        assert not address.endswith(f":{DEFAULT_PORT}")
        assert "port 1064 is in use: metrics are served on another one" in caplog.text
        with pytest.raises(ObserveError, match=r"^port 1064 \(--admin-port\) is in use$"):
            async with serving(LOCAL, DEFAULT_PORT, _Gateway().pages):
                pass


async def test_an_address_of_ipv6_has_brackets() -> None:
    async with serving("::1", 0, _Gateway().pages) as address:
        assert address.startswith("[::1]:")
        assert (await get(address, "/health")).status_code == 200
