"""Ports of the plan: what is matched on each, in order of precedence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.compile.hosts import common_hosts
from aigw.compile.listeners import Entrance
from aigw.compile.report import Report
from aigw.compile.routes import CompiledRule
from aigw.compile.security.policies import SecurityPolicies, Verdict
from aigw.compile.site import Site
from aigw.compile.virtual_hosts import Candidate, Mounted, Served, VirtualHosts
from aigw.errors import Code
from aigw.plan import HeaderMatch, Listener, Port, RouteMatch, Rule, VirtualHost

if TYPE_CHECKING:
    from aigw.api.gateway import Gateway
    from aigw.compile.http.matches import PlainHosts

Key = tuple[int, str, str]
"""A listener: its port, the Gateway of that, and the server name for which it is chosen."""


@dataclass(slots=True)
class _Listener:
    """What is served behind entrances that share a port: host names of their own."""

    entrances: list[Entrance]
    hosts: VirtualHosts

    @property
    def entrance(self) -> Entrance:
        """The first one, whose settings are those of all."""
        return self.entrances[0]


class Ports:
    """Collects matches by listener and makes the ports of the plan."""

    def __init__(self, report: Report, security: SecurityPolicies, site: Site) -> None:
        """No port is taken yet."""
        self._report = report
        self._security = security
        self._site = site
        self._ports: dict[tuple[int, str], dict[str, _Listener]] = {}
        self._owners: dict[int, Gateway] = {}

    def open(self, entrances: Sequence[Entrance]) -> list[Entrance]:
        """Takes the ports of a Gateway, with or without routes; what cannot have one is named."""
        return [entrance for entrance in entrances if self._open(entrance)]

    def _open(self, entrance: Entrance) -> bool:
        listener = entrance.listener
        port = self._ports.setdefault((listener.port, entrance.gateway.id.path), {})
        if fault := self._conflict(entrance, port):
            path = f"{entrance.path}.port"
            self._report.error(entrance.gateway.id, Code.CONFLICT, path, fault)
            return False
        name = _server_name(entrance)
        if name not in port:
            entrances: list[Entrance] = []
            port[name] = _Listener(entrances, VirtualHosts(self._report, self._security, entrances))
        port[name].entrances.append(entrance)
        return True

    def _conflict(self, entrance: Entrance, port: dict[str, _Listener]) -> str | None:
        """Why an entrance cannot share a port with those that have it."""
        listener, gateway = entrance.listener, entrance.gateway
        if self._site is Site.MACHINE:
            owner = self._owners.setdefault(listener.port, gateway)
            if owner is not gateway:
                return f"{listener.port} belongs to {owner.id} already"
        for other in port.values():
            if other.entrance.listener.protocol != listener.protocol:
                return f"{listener.port} is for {other.entrance.listener.protocol} already"
        return None

    def mounted(
        self,
        entrance: Entrance,
        route: AIGatewayRoute,
        rules: Sequence[CompiledRule],
        verdict: Verdict,
    ) -> Iterator[Mounted]:
        """What a route serves on a listener, under its policy."""
        key = listener_key(entrance)
        candidates = tuple(
            Candidate(
                replace(match, security=verdict.key) if verdict.key else match,
                tuple((item.name, item.value, item.type.value) for item in headers),
            )
            for compiled in rules
            for headers in compiled.matches
            for match in _matches(headers, compiled)
        )
        is_withheld = bool(verdict.guard)
        for hostname in common_hosts(entrance.listener.hostname, route.spec.hostnames):
            yield Mounted(key, entrance, hostname, candidates, verdict.key, is_withheld)

    def ports(
        self,
        mounted: Iterable[Mounted],
        rules: Mapping[str, Rule],
        plain: "PlainHosts | None",
    ) -> tuple[Port, ...]:
        """Ports by number, with virtual hosts and matches in order of precedence.

        `mounted` is in the order of the routes.
        """
        served: dict[Key, Served] = {
            (number, gateway, name): Served()
            for (number, gateway), listeners in self._ports.items()
            for name in listeners
        }
        for item in mounted:
            served[item.listener].routes.setdefault(item.hostname, []).append(item)
        for other in plain.mounted if plain else ():
            served[other.listener].plain.setdefault(other.hostname, []).append(other)
        return tuple(
            Port(
                number,
                gateway,
                tuple(
                    _listener(found, found.hosts.of(served[number, gateway, name], rules, plain))
                    for name, found in listeners.items()
                ),
                next(iter(listeners.values())).entrance.traffic.port,
            )
            for (number, gateway), listeners in sorted(self._ports.items(), key=itemgetter(0))
            if listeners
        )


def _listener(found: _Listener, hosts: tuple[VirtualHost, ...]) -> Listener:
    entrance = found.entrance
    return Listener(
        entrance.name,
        hosts,
        _server_name(entrance) or "*",
        entrance.certificates,
        entrance.traffic.client,
    )


def _server_name(entrance: Entrance) -> str:
    """HTTP listeners of a port are one; HTTPS listeners are chosen by the name asked for."""
    is_http = entrance.listener.protocol == "HTTP"
    return "" if is_http else entrance.listener.hostname or "*"


def listener_key(entrance: Entrance) -> Key:
    """The key of an entrance; its server name is empty for HTTP."""
    return (entrance.listener.port, entrance.gateway.id.path, _server_name(entrance))


def _matches(headers: tuple[HeaderMatch, ...], compiled: CompiledRule) -> Iterator[RouteMatch]:
    """Endpoints that only some backends serve come before all others."""
    for rule, paths in compiled.narrowed:
        yield RouteMatch(headers, rule.id, paths)
    yield RouteMatch(headers, compiled.rule.id)
