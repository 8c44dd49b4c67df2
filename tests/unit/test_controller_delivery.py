"""Views on their way to data planes: order, grace, and what is said of routes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from aigw.controller import delivery as deliveries
from aigw.controller.delivery import Delivery
from aigw.controller.objects import Objects
from aigw.controller.view import Viewer
from aigw.errors import ResourceId
from aigw.plan import EndpointPrefixes, Plan
from aigw.render.snapshot import Snapshot, assembled
from beds.cluster_objects import backend, gateway, route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EDGE = "default/edge"


@dataclass(frozen=True)
class Said:
    """A report."""

    generation: str
    error: str = ""


@dataclass
class Data:
    """Data planes of one Gateway that take what they are told to take."""

    refuses: str = ""
    is_slow: bool = False
    connected: int = 1
    events: list[str] = field(default_factory=list)
    offered: Mapping[str, Snapshot] = field(default_factory=dict)
    generation: str = ""

    def publish(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Take it, or not."""
        self.offered = snapshots
        self.events.append("published")
        if not self.refuses and not self.is_slow and EDGE in snapshots:
            self.generation = snapshots[EDGE].generation

    async def confirmed(self, generations: Mapping[str, str], seconds: float) -> bool:
        """Whether it was taken."""
        del seconds
        self.events.append("asked")
        return self.generation == generations.get(EDGE)

    def reports(self, gateway: str) -> Sequence[Said]:
        """The same of all."""
        return [Said(self.generation, self.refuses)] * self.connected if gateway == EDGE else []


class Bed:
    """Objects, and their way."""

    def __init__(self) -> None:
        self.data = Data()
        self.plans: list[Plan | None] = []
        self.delivery = Delivery(self.data, self.on_plan)
        self.objects, self.viewer = Objects(), Viewer(EndpointPrefixes())

    def on_plan(self, plan: Plan | None) -> None:
        """Keep it."""
        self.data.events.append("plan")
        self.plans.append(plan)

    async def put(self, *documents: dict[str, object]) -> None:
        """As a watch that has seen them."""
        for document in documents:
            self.objects.put(document)
        await self.delivery.deliver(self.viewer.view(self.objects))

    def hosts(self) -> set[str]:
        """Of all backends that data planes know."""
        snapshot = self.data.offered[EDGE]
        config = json.loads(assembled(snapshot.manifest, snapshot.pieces)[0])
        return {entry["host"] for entry in config["backends"].values()}

    def said(self, name: str) -> tuple[str, str] | None:
        """Status and reason of a route."""
        found = self.delivery.programmed(
            ResourceId("aigateway.envoyproxy.io", "AIGatewayRoute", "default", name)
        )
        return (found.status, found.reason) if found else None


@pytest.fixture
def bed() -> Bed:
    return Bed()


async def test_envoys_are_told_after_data_planes(bed: Bed) -> None:
    await bed.put(gateway(), *backend("a"), route("chat", ("m", "a")))
    assert bed.data.events == ["published", "asked", "plan"]
    assert bed.said("chat") == ("True", "Programmed")


async def test_what_was_lost_stays_known_for_a_while(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bed.put(gateway(), *backend("a"), *backend("b"), route("chat", ("m", "a")))
    first = bed.data.offered[EDGE].generation
    await bed.put(route("chat", ("m", "b")))
    assert bed.hosts() == {"a.example.com", "b.example.com"}
    assert bed.data.offered[EDGE].generation != first
    monkeypatch.setattr(deliveries, "GRACE_SECONDS", 0.001)
    await bed.put(route("chat", ("n", "b")))
    bed.delivery.prune(1e12)
    assert bed.hosts() == {"b.example.com"}
    assert bed.said("chat") == ("True", "Programmed")


async def test_a_route_that_stays_the_same_stays_programmed(bed: Bed) -> None:
    await bed.put(gateway(), *backend("a"), route("one", ("m", "a")))
    bed.data.is_slow = True
    await bed.put(route("two", ("n", "a")))
    assert bed.said("one") == ("True", "Programmed")
    assert bed.said("two") == ("Unknown", "Pending")
    bed.data.connected = 0
    assert bed.said("one") == ("Unknown", "NoDataPlane")
    assert bed.said("nobody") is None


async def test_a_refusal_shows_where_it_matters(bed: Bed) -> None:
    await bed.put(gateway(), *backend("a"), route("one", ("m", "a")))
    bed.data.refuses = "no memory"
    await bed.put(route("two", ("n", "a")))
    assert bed.said("one") == ("True", "Programmed")
    assert bed.said("two") == ("False", "Refused")
