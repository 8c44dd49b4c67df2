"""Routes that cannot be served together, because their hosts have different SecurityPolicies.

Envoy authenticates a request on the first match of its route, before the model is known. So all
routes behind one host of a listener must have one policy: the oldest and those that agree with it
are served. The data plane compares once more, by the hashes of both routes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.compile.hosts import patterns
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId


class Claim(NamedTuple):
    """What a route asks for: hosts of a listener under a policy.

    Of equal claims all stand or none, because the same ones are against them.
    """

    entrance: str
    policy: str
    hosts: tuple[str, ...]


class Admission:
    """Which claims give way. What it finds is kept for as long as claims and their order last."""

    def __init__(self) -> None:
        """Nothing is claimed yet."""
        self._claims: list[tuple[Claim, ...]] = []
        self._routes: list[ResourceId] = []
        self._order: list[Claim] = []
        self._against: Mapping[Claim, Claim] = {}
        self._refused: Mapping[Claim, ResourceId] = {}

    def refused(
        self, routes: list[ResourceId], claims: list[tuple[Claim, ...]]
    ) -> Mapping[Claim, ResourceId]:
        """Claims that give way, each with the oldest route that is against it.

        Routes and their claims come oldest first.
        """
        if claims != self._claims or routes != self._routes:
            self._claims, self._routes = claims, routes
            first: dict[Claim, ResourceId] = {}
            for route, made in zip(routes, claims, strict=True):
                for claim in made:
                    first.setdefault(claim, route)
            if (order := [*first]) != self._order:
                self._order, self._against = order, refusals(order)
            self._refused = {claim: first[older] for claim, older in self._against.items()}
        return self._refused


_Numbered = tuple[int, Claim]


@dataclass(slots=True)
class _Standing:
    """Claims of a listener that stand: those for a host, and those for hosts below a pattern.

    All at one host have one policy. Below a pattern there are the oldest one and the oldest with
    another policy: one of these two is against any claim that anything is against.
    """

    at: dict[str, _Numbered] = field(default_factory=dict)
    below: dict[str, list[_Numbered]] = field(default_factory=dict)

    def against(self, claim: Claim) -> Claim | None:
        """The oldest claim with another policy for a host that this one is for too."""
        found: list[_Numbered] = []
        for host in claim.hosts:
            found += [self.at[pattern] for pattern in patterns(host) if pattern in self.at]
            if host.startswith("*"):
                found += self.below.get(host, ())
        others = [other for other in found if other[1].policy != claim.policy]
        return min(others)[1] if others else None

    def add(self, number: int, claim: Claim) -> None:
        """Claims come oldest first, and nothing is against them."""
        for host in claim.hosts:
            self.at.setdefault(host, (number, claim))
            for pattern in patterns(host):
                if not pattern.startswith("*"):
                    continue
                known = self.below.setdefault(pattern, [])
                if not known or (len(known) == 1 and known[0][1].policy != claim.policy):
                    known.append((number, claim))


def refusals(claims: Iterable[Claim]) -> dict[Claim, Claim]:
    """Claims that give way, each with the oldest one that stands and is against it."""
    found: dict[Claim, Claim] = {}
    listeners: defaultdict[str, _Standing] = defaultdict(_Standing)
    for number, claim in enumerate(claims):
        standing = listeners[claim.entrance]
        if older := standing.against(claim):
            found[claim] = older
        else:
            standing.add(number, claim)
    return found


def report_refused(route: AIGatewayRoute, entrance: str, older: ResourceId, report: Report) -> None:
    """Tells the owners of both routes that one of them is not served on a listener."""
    where = f"on the listener {entrance}"
    why = "clients are authenticated before the model tells the route"
    message = (
        f"is not served {where}: {older}, which is older, has the same host and another "
        f"security policy, and {why}"
    )
    report.error(route.id, Code.CONFLICT, "", message)
    message = f"{route.id} has the same host and another security policy {where}; it is not "
    report.error(older, Code.CONFLICT, "", f"{message}served, because {why}")
