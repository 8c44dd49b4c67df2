"""Fixtures for tests that run the whole gateway with the real Envoy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from beds.gateway import RunningGateway, run_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = {
    "module": ("--data-plane", "module"),
    "extproc": ("--data-plane", "extproc"),
    "grpcio": ("--data-plane", "extproc", "--ext-proc-transport", "grpcio"),
}


@pytest.fixture(scope="session", params=["module", "extproc"])
def host(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Options that choose where the core runs."""
    return HOSTS[request.param]


@pytest.fixture(scope="session", params=list(HOSTS))
def any_host(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """As `host`, and the reference transport."""
    return HOSTS[request.param]


@pytest.fixture(scope="module")
def demo(host: tuple[str, ...], free_port: object) -> Iterator[RunningGateway]:
    """`aigw run` with nothing configured."""
    with run_gateway("--port", str(free_port()), *host) as gateway:  # type: ignore[operator]
        yield gateway
