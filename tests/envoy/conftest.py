"""Fixtures for tests that run the whole gateway with the real Envoy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from anthropic import Anthropic
from cohere import ClientV2
from openai import OpenAI

from beds.gateway import RunningGateway, run_gateway
from beds.golden import GoldenProvider, configuration
from beds.sdks import SdkBed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

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


@pytest.fixture(scope="session")
def sdks(host: tuple[str, ...], free_port: FreePorts) -> Iterator[SdkBed]:
    """The gateway in each host, in front of the provider that answers as recorded."""
    provider = GoldenProvider()
    with (
        provider.running(),
        run_gateway(*host, config=configuration(free_port(), provider.port)) as gateway,
    ):
        yield SdkBed(gateway, provider)


@pytest.fixture
def openai(sdks: SdkBed) -> Iterator[OpenAI]:
    """OpenAI's library."""
    with OpenAI(base_url=f"{sdks.gateway.url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(sdks: SdkBed) -> Iterator[Anthropic]:
    """Anthropic's library."""
    url = f"{sdks.gateway.url}/anthropic"
    with Anthropic(base_url=url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def cohere(sdks: SdkBed) -> Iterator[ClientV2]:
    """Cohere's library."""
    with httpx.Client() as transport:
        yield ClientV2("k", base_url=f"{sdks.gateway.url}/cohere", httpx_client=transport)
