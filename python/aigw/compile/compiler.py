"""The compiler's entrance: resources to a plan, again and again.

Routes are compiled one by one against their surroundings, and put together at the end. What a
route becomes depends on itself and on the surroundings, never on another route; so a change of
routes compiles these routes only, and any other change compiles everything (see `surroundings`
for resources with which that is not so).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.load import Loaded
from aigw.api.model import Resource
from aigw.compile import models
from aigw.compile.credentials.override import headers_of
from aigw.compile.guards import guarded, withheld
from aigw.compile.index import Index
from aigw.compile.metadata import namespaces_of
from aigw.compile.models import Offer
from aigw.compile.naming import distinct
from aigw.compile.ports import Mounted
from aigw.compile.prices import price_lists
from aigw.compile.report import Report
from aigw.compile.surroundings import Here, Surroundings, looks_at_routes
from aigw.compile.targets import report_targets
from aigw.errors import Diagnostic, ResourceId, Severity
from aigw.plan import Auth, Backend, Certificate, Collector, EndpointPrefixes, Plan, Proxy, Rule

if TYPE_CHECKING:
    from aigw.compile.http.routes import HttpRoutes
    from aigw.plan.http import HttpBackend

_DEFAULT_PREFIXES = EndpointPrefixes()


@dataclass(frozen=True, slots=True)
class Compiled:
    """The plan, or None when there is nothing to serve, and all findings, loading included."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Findings because of which something is not served."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


def compile_plan(
    loaded: Loaded,
    loaded_at: int = 0,
    prefixes: EndpointPrefixes = _DEFAULT_PREFIXES,
    variables: Mapping[str, str] | None = None,
    missing_extras: Collection[str] = (),
) -> Compiled:
    """Compiles everything that was loaded, for all Gateways. Never raises for user input.

    The result does not depend on the order of documents. `loaded_at` (Unix seconds) dates the
    models of routes that carry no time of their own. `prefixes` are where clients find the
    endpoints, `variables` those of the environment, which may name proxies, `missing_extras` those
    of this package whose libraries are not here.
    """
    return Compiler(loaded_at, prefixes, variables, missing_extras).compile(loaded)


@dataclass(frozen=True, slots=True)
class _Served:
    """What a route adds to the plan."""

    rules: Mapping[str, Rule]
    backends: Mapping[str, Backend]
    offers: tuple[tuple[str, Offer], ...]
    mounted: tuple[Mounted, ...]
    headers: Mapping[str, frozenset[str]]
    auths: frozenset[Auth]
    ways: frozenset[str]
    """Keys of the certificates, authorities and proxies that its backends are reached with."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A route that was compiled."""

    route: AIGatewayRoute
    id: ResourceId
    age: tuple[str, str, str]
    served: _Served
    findings: tuple[Diagnostic, ...]


class Compiler:
    """Compiles what was loaded; resources that are the same objects as the last time are known.

    The result equals that of a new compiler.
    """

    def __init__(
        self,
        loaded_at: int = 0,
        prefixes: EndpointPrefixes = _DEFAULT_PREFIXES,
        variables: Mapping[str, str] | None = None,
        missing_extras: Collection[str] = (),
    ) -> None:
        """As `compile_plan`."""
        self._here = Here(variables or {}, missing_extras)
        self._loaded_at = loaded_at
        self._prefixes = prefixes
        self._surroundings: Surroundings | None = None
        self._known: dict[int, _Known] = {}
        self._by_id: dict[ResourceId, AIGatewayRoute] = {}

    def compile(self, loaded: Loaded) -> Compiled:
        """As `compile_plan`."""
        routes, others = _split(loaded.resources)
        if looks_at_routes(others):
            others |= {route.id: route for route in routes}
        around = self._surroundings
        if around is None or not around.is_made_of(others, loaded.rejected):
            around = self._surroundings = Surroundings(
                others, loaded.rejected, self._prefixes, self._here
            )
            self._known, self._by_id = {}, {}
        found = self._all(routes, around)
        report = Report()
        report_targets(Index({**others, **self._by_id}, loaded.rejected), report)
        findings = dict.fromkeys((*report.findings(), *around.before))
        plan = None
        if around.gateways:
            for known in found:
                if known.findings:
                    findings.update(dict.fromkeys(known.findings))
            plain = around.report.noting(lambda: _plain_routes(around))
            findings.update(dict.fromkeys(plain.findings))
            assembled = around.report.noting(lambda: _assembled(found, around, plain.value))
            findings.update(dict.fromkeys(assembled.findings))
            plan = assembled.value
            findings.update(dict.fromkeys(around.after))
        placed = (
            item.at(loaded.origins.get(item.resource) if item.resource else None)
            for item in findings
        )
        return Compiled(plan, (*loaded.diagnostics, *placed))

    def _all(self, routes: Iterable[AIGatewayRoute], around: Surroundings) -> list[_Known]:
        """All routes, oldest first; those that are new are compiled."""
        last = self._known  # routes are kept, so nothing else can have their ids
        new = [route for route in routes if id(route) not in last]
        known = {id(route): last[id(route)] for route in routes if id(route) in last}
        for route in sorted(new, key=lambda route: route.age):
            known[id(route)] = self._compiled(route, around)
        for key in last.keys() - known.keys():
            self._by_id.pop(last[key].id, None)
        for key in known.keys() - last.keys():
            self._by_id[known[key].id] = known[key].route
        self._known = known
        return sorted(known.values(), key=attrgetter("age"))

    def _compiled(self, route: AIGatewayRoute, around: Surroundings) -> _Known:
        if not around.gateways:
            return _Known(route, route.id, route.age, _NOTHING, ())
        noted = around.report.noting(lambda: _served(route, around, self._loaded_at))
        return _Known(route, route.id, route.age, noted.value, noted.findings)


def _split(
    resources: Iterable[Resource],
) -> tuple[list[AIGatewayRoute], dict[ResourceId, Resource]]:
    """Routes, and all others."""
    routes: list[AIGatewayRoute] = []
    others: dict[ResourceId, Resource] = {}
    for resource in resources:
        if isinstance(resource, AIGatewayRoute):
            routes.append(resource)
        else:
            others[resource.id] = resource
    return routes, others


_NOTHING = _Served({}, {}, (), (), {}, frozenset(), frozenset())


def _served(route: AIGatewayRoute, around: Surroundings, loaded_at: int) -> _Served:
    """Compiles a route for each Gateway that serves it."""
    rules: dict[str, Rule] = {}
    backends: dict[str, Backend] = {}
    offers: list[tuple[str, Offer]] = []
    mounted: list[Mounted] = []
    headers: dict[str, frozenset[str]] = {}
    for gateway, entrances in around.attachments.of(route):
        compiled = around.routes.compile(gateway, route)
        compiled = guarded(route, gateway, compiled, around.index, around.report)
        name = gateway.id.path
        compiled = tuple(distinct(item, name, rules, backends) for item in compiled)
        refused = tuple(map(withheld, compiled))
        offered = refused
        for entrance in entrances:
            verdict = around.security.admit(entrance, route)
            served = refused if verdict.guard else compiled
            offered = offered if verdict.guard else compiled
            rules.update({rule.id: rule for item in served for rule in item.rules})
            mounted.extend(around.ports.mounted(entrance, route, served, verdict))
        backends.update({found.name: found for item in offered for found in item.backends})
        overrides = [b.auth.override for item in offered for b in item.backends if b.auth]
        if named := headers_of(overrides):
            headers[gateway.id.path] = named
        offers.append((gateway.id.path, models.offer_of(route, offered, loaded_at)))
    auths = frozenset(found.auth for found in backends.values() if found.auth)
    ways = frozenset(_keys(backends.values()))
    return _Served(rules, backends, tuple(offers), tuple(mounted), headers, auths, ways)


def _plain_routes(around: Surroundings) -> "HttpRoutes | None":
    """HTTPRoutes, if there are any: their models cost start time."""
    if (Gateway.GROUP, "HTTPRoute") not in around.index.kinds:
        return None
    from aigw.compile.http.backends import HttpBackends  # noqa: PLC0415
    from aigw.compile.http.routes import HttpRoutes  # noqa: PLC0415

    backends = HttpBackends(around.index, around.report, around.upstreams, around.egress)
    http = HttpRoutes(around.index, around.report, backends, around.support, around.security)
    for route in http.all():
        for gateway, attached in around.attachments.of(route):
            http.add(gateway, route, attached, around.ports)
    return http


@dataclass(frozen=True, slots=True)
class _Ways:
    """What backends in use are reached with."""

    certificates: Mapping[str, Certificate]
    authorities: Mapping[str, str]
    proxies: Mapping[str, Proxy]


def _keys(reached: "Iterable[Backend | HttpBackend | Collector]") -> Iterator[str]:
    """Keys of what they are reached with; an empty one stands for nothing."""
    for item in reached:
        if item.tls:
            yield item.tls.client_certificate
            yield item.tls.authorities
        for endpoint in item.endpoints:
            yield endpoint.proxy


def _ways(keys: set[str], http: "HttpRoutes | None", around: Surroundings) -> _Ways:
    """Of all that was read, what is in use: what an edit leaves behind is not."""
    logs = (
        log.collector
        for gateway in around.gateways.values()
        for log in gateway.telemetry.access_logs or ()
    )
    plain = http.backends.values() if http else ()
    keys = keys.union(_keys(plain), _keys(log for log in logs if log))
    found = around.egress.certificates
    return _Ways(
        {key: value for key, value in found.pairs.items() if key in keys},
        {key: value for key, value in found.authorities.items() if key in keys},
        {key: value for key, value in around.egress.proxies.items() if key in keys},
    )


def _assembled(routes: Iterable[_Known], around: Surroundings, http: "HttpRoutes | None") -> Plan:
    """The plan of all routes, in their order."""
    rules: dict[str, Rule] = {}
    backends: dict[str, Backend] = {}
    offers: dict[str, list[Offer]] = {name: [] for name in around.gateways}
    mounted: list[Mounted] = []
    headers: dict[str, frozenset[str]] = dict.fromkeys(around.gateways, frozenset())
    auths: set[Auth] = set()
    ways: set[str] = set()
    for known in routes:
        served = known.served
        rules.update(served.rules)
        backends.update(served.backends)
        mounted += served.mounted
        ways |= served.ways
        if served.auths:
            auths |= served.auths
        for gateway, names in served.headers.items():
            headers[gateway] |= names
        for gateway, offer in served.offers:
            offers[gateway].append(offer)
    used = {auth.credential for auth in auths if auth.credential}
    ports = around.ports.ports(mounted)
    way = _ways(ways, http, around)
    return Plan(
        gateways={
            name: replace(
                gateway,
                models=models.lists_of(offers[name]),
                credential_headers=tuple(sorted(headers[name])),
            )
            for name, gateway in around.gateways.items()
        },
        ports=http.served(ports, rules) if http else ports,
        rules=rules,
        backends=backends,
        credentials={name: around.credentials.found[name] for name in sorted(used)},
        certificates={**around.entrances.certificates, **way.certificates},
        authorities={**way.authorities, **around.clients.authorities},
        proxies=way.proxies,
        http_rules=http.rules if http else {},
        http_backends=http.backends if http else {},
        prefixes=around.prefixes,
        metadata_namespaces=namespaces_of(around.all_gateways.values(), auths, around.index),
        security=around.security.found,
        price_lists=price_lists(filter(None, (item.price_list for item in backends.values()))),
    )
