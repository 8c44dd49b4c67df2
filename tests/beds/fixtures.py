"""The fixtures; `conftest.py` makes them known to pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from aigw.providers import FakeProvider
from beds import envoy, processes
from beds.ports import FreePorts
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class RunEnvoy(Protocol):
    """`beds.envoy.run_envoy`, as the fixture hands it out."""

    def __call__(
        self, bootstrap: envoy.Json, options: envoy.EnvoyOptions | None = None
    ) -> AbstractContextManager[envoy.RunningEnvoy]:
        """Run Envoy with a bootstrap."""


class RawHttp(Protocol):
    """Opens raw connections and closes them at the end of the test."""

    def __call__(self, address: int | tuple[str, int] | str, timeout: float = ...) -> RawConnection:
        """Connect."""


@pytest.fixture(scope="session", autouse=True)
def _no_child_left() -> Iterator[None]:
    """Fail the run where a test left a child process behind."""
    before = set(processes.children())
    yield
    left = {pid: name for pid, name in processes.children().items() if pid not in before}
    assert not left, f"child processes left behind: {left}"


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    """An event loop in a thread, shared by all beds."""
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture
def new_provider(loop_thread: LoopThread) -> Iterator[Callable[[], ProviderBed]]:
    """Starts any number of providers; all of them stop with the test."""
    beds: list[ProviderBed] = []

    def start() -> ProviderBed:
        beds.append(ProviderBed(loop_thread, FakeProvider()))
        return beds[-1]

    yield start
    for bed in beds:
        bed.stop()


@pytest.fixture
def provider(new_provider: Callable[[], ProviderBed]) -> ProviderBed:
    """A started fake provider."""
    return new_provider()


@pytest.fixture(scope="session")
def free_port() -> FreePorts:
    """Call it for a free port."""
    return FreePorts()


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The Envoy executable."""
    return envoy.envoy_binary()


@pytest.fixture
def run_envoy() -> RunEnvoy:
    """Call it with a bootstrap for a context that runs the real Envoy."""
    return envoy.run_envoy


@pytest.fixture
def raw_http() -> Iterator[RawHttp]:
    """Call it with an address for a raw connection."""
    opened: list[RawConnection] = []

    def connect(address: int | tuple[str, int] | str, timeout: float = 10.0) -> RawConnection:
        opened.append(RawConnection(address, timeout))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
