"""Views on their way to data planes, and what these say about them."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aigw.controller.conditions import Condition
from aigw.controller.shares import Share
from aigw.controller.view import View
from aigw.errors import ResourceId
from aigw.plan import Plan
from aigw.render.envoy import render_credentials, render_filter_config
from aigw.render.envoy.filter_config import content_hash
from aigw.render.snapshot import Cutter, Snapshot

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_PATIENCE_SECONDS = 2.0
_SERIALS_KEPT = 1000
GRACE_SECONDS = 30.0
"""How long a backend stays known after the configuration has lost it: Envoys may name it yet."""


class Report(Protocol):
    """What a data plane says: the generation in force, and why the newest is not (or nothing)."""

    @property
    def generation(self) -> str:
        """In force; empty: none."""

    @property
    def error(self) -> str:
        """Empty: there is nothing newer that was refused."""


class Stream(Protocol):
    """The way to data planes that are connected."""

    def publish(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Offers these, by Gateway, and nothing else."""

    async def confirmed(self, generations: Mapping[str, str], seconds: float) -> bool:
        """Waits until data planes have these, or have refused them."""

    def reports(self, gateway: str) -> Sequence[Report]:
        """Those of all data planes that are connected."""


@dataclass(slots=True)
class _Way:
    """What one Gateway's data planes got and get.

    `left` are backends that the newest configuration has not any more, with the credentials that
    they use, and until when they stay known. `serials` say in which order generations were
    published, `needs` which of them a route must have.
    """

    cutter: Cutter = field(default_factory=Cutter)
    config: Json = field(default_factory=lambda: {"backends": {}})
    credentials: Json = field(default_factory=lambda: {"credentials": {}}, repr=False)
    left: dict[str, "_Left"] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    serial: int = 0
    serials: dict[str, int] = field(default_factory=dict)
    needs: dict[str, "_Need"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Left:
    entry: Json
    credentials: Json = field(repr=False)
    until: float


@dataclass(frozen=True, slots=True)
class _Need:
    hash: str
    serial: int


class Delivery:
    """Publishes each view; `on_plan` gets its plan when Envoys may name what is new in it."""

    def __init__(self, stream: Stream, on_plan: Callable[[Plan | None], None]) -> None:
        """Nothing is published yet."""
        self._stream = stream
        self._on_plan = on_plan
        self._ways: dict[str, _Way] = {}
        self._routes: dict[str, list[str]] = {}

    @property
    def snapshots(self) -> Mapping[str, Snapshot]:
        """The newest ones, by Gateway (`<ns>/<name>`)."""
        return {name: way.snapshot for name, way in self._ways.items() if way.snapshot}

    def routes_of(self, gateway: str) -> Collection[str]:
        """Routes (`<ns>/<name>`) that are served by a Gateway."""
        way = self._ways.get(gateway)
        return way.needs.keys() if way else ()

    def gateways_of(self, route: ResourceId) -> Collection[str]:
        """Gateways (`<ns>/<name>`) that serve a route."""
        return self._routes.get(route.path, ())

    async def deliver(self, view: View) -> None:
        """Returns when data planes have the view, have refused it, or take too long."""
        now = time.time()
        routes: dict[str, list[str]] = {}
        shares = {name: share for name, share in view.shares.items() if share.routes}
        for gateway in self._ways.keys() - shares.keys():
            del self._ways[gateway]
        for gateway, share in shares.items():
            for route in share.routes:
                routes.setdefault(route, []).append(gateway)
            way = self._ways.setdefault(gateway, _Way())
            _update(way, share, now)
            way.needs = {
                route: _need(way, route, view.hashes.get(route, "")) for route in share.routes
            }
        self._routes = routes
        self._stream.publish(self.snapshots)
        wanted = {name: snapshot.generation for name, snapshot in self.snapshots.items()}
        if not await self._stream.confirmed(wanted, _PATIENCE_SECONDS):
            logger.warning("some data planes have not taken the configuration yet")
        self._on_plan(view.plan)

    async def run(self) -> None:
        """Takes back what has been left long enough, until it is cancelled."""
        while True:
            await asyncio.sleep(GRACE_SECONDS / 10)
            self.prune(time.time())

    def prune(self, now: float) -> None:
        """Takes back what should be known until before `now`."""
        pruned = [_prune(way, now) for way in self._ways.values()]
        if any(pruned):
            self._stream.publish(self.snapshots)

    def programmed(self, route: ResourceId) -> Condition | None:
        """What the data planes of its Gateways say of a route."""
        gateways = self._routes.get(route.path)
        if gateways is None:
            return None
        behind = connected = 0
        for gateway in gateways:
            way = self._ways[gateway]
            for report in self._stream.reports(gateway):
                connected += 1
                if way.serials.get(report.generation, 0) >= way.needs[route.path].serial:
                    continue
                if report.error:
                    return Condition("Programmed", "False", "Refused", report.error)
                behind += 1
        if not connected:
            message = "no data plane of its Gateways is connected"
            return Condition("Programmed", "Unknown", "NoDataPlane", message)
        if behind:
            message = f"{behind} of {connected} data planes do not have it yet"
            return Condition("Programmed", "Unknown", "Pending", message)
        message = f"in force in {connected} data plane{'s' * (connected > 1)}"
        return Condition("Programmed", "True", "Programmed", message)


def _update(way: _Way, share: Share, now: float) -> None:
    """Takes over a share; what it has no more stays known for a while."""
    before: Json = way.config["backends"]
    secrets: Json = way.credentials["credentials"]
    way.config = dict(render_filter_config(share.plan))
    way.credentials = dict(render_credentials(share.plan))
    backends: Json = way.config["backends"]
    for name, entry in before.items():
        used = entry.get("auth", {}).get("credential")
        kept = {used: secrets[used]} if used in secrets else {}
        way.left[name] = _Left(entry, kept, now + GRACE_SECONDS)
    way.left = {name: item for name, item in way.left.items() if name not in backends}
    _cut(way, now)


def _prune(way: _Way, now: float) -> bool:
    """Whether something had been left long enough."""
    kept = {name: item for name, item in way.left.items() if item.until > now}
    if len(kept) == len(way.left):
        return False
    way.left = kept
    _cut(way, now)
    return True


def _cut(way: _Way, now: float) -> None:
    """The snapshot of the newest configuration and of what was left."""
    config, credentials = way.config, way.credentials
    if way.left:
        backends = {name: item.entry for name, item in way.left.items()}
        generation = content_hash([config["generation"], sorted(way.left)])[:32]
        config = {
            **config,
            "backends": {**backends, **config["backends"]},
            "generation": generation,
        }
        secrets: Json = {}
        for item in way.left.values():
            secrets |= item.credentials
        credentials = {**credentials, "credentials": {**secrets, **credentials["credentials"]}}
    snapshot = way.cutter.snapshot(config, credentials, int(now * 1000))
    if way.snapshot is None or snapshot.pieces.keys() != way.snapshot.pieces.keys():
        way.snapshot = snapshot
        way.serial += 1
        way.serials[snapshot.generation] = way.serial
        for generation in list(way.serials)[:-_SERIALS_KEPT]:
            del way.serials[generation]


def _need(way: _Way, route: str, digest: str) -> _Need:
    known = way.needs.get(route)
    return known if known and known.hash == digest else _Need(digest, way.serial)
