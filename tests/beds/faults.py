"""Fixtures: a gateway with one provider, one that is down, and one that does not speak HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from aigw.providers import FakeProvider
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_provider import RawProvider
from beds.resources import BackendSpec, anthropic_key, api_key, gateway_yaml, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts


@dataclass(frozen=True, slots=True)
class Beds:
    """What stands behind the gateway; `dead` refuses connections."""

    bed: ProviderBed
    dead: ProviderBed
    raw: RawProvider

    def configuration(self, port: int) -> str:
        """Models: the names of the rules."""
        backends = [
            BackendSpec("plain", self.bed.port),
            BackendSpec("keyed", self.bed.port, auth=api_key("keyed", "the-key")),
            BackendSpec(
                "claude", self.bed.port, {"name": "Anthropic"}, anthropic_key("claude", "k")
            ),
            BackendSpec("dead", self.dead.port),
            BackendSpec("raw", self.raw.port),
        ]
        rules = [
            rule("m", "plain"),
            rule("override", {"name": "plain", "modelNameOverride": "other"}),
            rule("keyed", "keyed"),
            rule("claude", "claude"),
            rule(
                "key-or-plain", {"name": "keyed", "priority": 0}, {"name": "plain", "priority": 1}
            ),
            rule("limited", "plain", timeouts={"request": "300ms"}),
            rule("down", "dead"),
            rule("raw", "raw"),
        ]
        return gateway_yaml(port, backends, rules)


@pytest.fixture(scope="module")
def _beds(loop_thread: LoopThread) -> Iterator[Beds]:
    bed, dead = (ProviderBed(loop_thread, FakeProvider()) for _ in range(2))
    raw = RawProvider(loop_thread)
    dead.refuse()
    yield Beds(bed, dead, raw)
    for item in (bed, dead, raw):
        item.stop()


@pytest.fixture
def beds(_beds: Beds) -> Beds:
    """The providers, without scripts and records of other tests."""
    _beds.bed.reset()
    return _beds


@pytest.fixture(scope="module")
def gateway(
    any_host: tuple[str, ...], free_port: FreePorts, _beds: Beds
) -> Iterator[RunningGateway]:
    """The gateway of a module."""
    with run_gateway(*any_host, config=_beds.configuration(free_port())) as running:
        yield running
