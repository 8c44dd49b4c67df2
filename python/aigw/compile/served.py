"""What a route adds to the plan, in two steps.

Where it stands is told by the route and its surroundings alone. What it becomes is told by that,
and by older routes whose security policy keeps it from a listener.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.compile import models
from aigw.compile.credentials.override import headers_of
from aigw.compile.guards import guarded, withheld
from aigw.compile.hosts import common_hosts
from aigw.compile.listeners import Entrance
from aigw.compile.models import Offer
from aigw.compile.naming import distinct
from aigw.compile.security.admission import Claim, report_refused
from aigw.compile.security.policies import Verdict
from aigw.compile.surroundings import Surroundings
from aigw.compile.virtual_hosts import Mounted
from aigw.compile.ways import keys_of
from aigw.errors import Code, ResourceId
from aigw.plan import Auth, Backend, Rule


@dataclass(frozen=True, slots=True)
class Place:
    """A listener of a route, the policy there, and what is claimed from other routes for it."""

    entrance: Entrance
    verdict: Verdict
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Listeners of a route by Gateway, and the selectors of policies that accept it."""

    attached: tuple[tuple[Gateway, tuple[Place, ...]], ...]
    claims: tuple[Claim, ...]
    selections: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """What a route adds to the plan."""

    rules: Mapping[str, Rule]
    backends: Mapping[str, Backend]
    offers: tuple[tuple[str, Offer], ...]
    mounted: tuple[Mounted, ...]
    headers: Mapping[str, frozenset[str]]
    auths: frozenset[Auth]
    ways: frozenset[str]
    """Keys of the certificates, authorities and proxies that its backends are reached with."""


Refusals = Mapping[Claim, ResourceId]


def standing(route: AIGatewayRoute, around: Surroundings) -> Standing:
    """Where a route stands among its surroundings."""
    selections = around.policies.check(route)
    around.security.applied.check(route)
    attached = tuple(
        (gateway, tuple(_place(entrance, route, around) for entrance in entrances))
        for gateway, entrances in around.attachments.of(route)
    )
    claims = tuple(place.claim for _, places in attached for place in places if place.claim)
    return Standing(attached, claims, selections)


def _place(entrance: Entrance, route: AIGatewayRoute, around: Surroundings) -> Place:
    verdict = around.security.of_route(entrance, route)
    if verdict.guard or not around.security.applied.is_used:
        return Place(entrance, verdict, None)
    hosts = tuple(common_hosts(entrance.listener.hostname, route.spec.hostnames))
    return Place(entrance, verdict, Claim(entrance.name, verdict.key, hosts))


def served(
    route: AIGatewayRoute,
    stands: Standing,
    refused: Refusals,
    around: Surroundings,
    loaded_at: int,
) -> Served:
    """Compiles a route for each Gateway that serves it."""
    rules: dict[str, Rule] = {}
    backends: dict[str, Backend] = {}
    offers: list[tuple[str, Offer]] = []
    mounted: list[Mounted] = []
    headers: dict[str, frozenset[str]] = {}
    for gateway, places in stands.attached:
        compiled = around.routes.compile(gateway, route)
        compiled = guarded(route, gateway, compiled, around.index, around.report)
        name = gateway.id.path
        compiled = tuple(distinct(item, name, rules, backends) for item in compiled)
        without = tuple(map(withheld, compiled))
        offered = without
        for place in places:
            verdict = _admitted(place, route, refused, around)
            here = without if verdict.guard else compiled
            offered = offered if verdict.guard else compiled
            rules.update({rule.id: rule for item in here for rule in item.rules})
            mounted.extend(around.ports.mounted(place.entrance, route, here, verdict))
        backends.update({found.name: found for item in offered for found in item.backends})
        overrides = [b.auth.override for item in offered for b in item.backends if b.auth]
        if named := headers_of(overrides):
            headers[name] = named
        offers.append((name, models.offer_of(route, offered, loaded_at)))
    auths = frozenset(found.auth for found in backends.values() if found.auth)
    ways = frozenset(keys_of(backends.values()))
    return Served(rules, backends, tuple(offers), tuple(mounted), headers, auths, ways)


def _admitted(
    place: Place, route: AIGatewayRoute, refused: Refusals, around: Surroundings
) -> Verdict:
    """Under which policy a listener serves a route, or because of which it does not."""
    guard = place.verdict.guard
    if guard:
        message = f"is not served, because {guard} protects it and cannot be enforced"
        around.report.error(route.id, Code.LEFT_OUT, "", message)
    elif place.claim and place.claim in refused:
        older = refused[place.claim]
        report_refused(route, place.entrance.name, older, around.report)
        return Verdict(guard=older)
    return place.verdict
