"""Ports of the plan: what is matched on each, in order of precedence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.compile.hosts import covers, intersect, patterns, specificity
from aigw.compile.listeners import Entrance
from aigw.compile.report import Report
from aigw.compile.routes import CompiledRule
from aigw.compile.security.policies import SecurityPolicies, Verdict
from aigw.errors import Code
from aigw.plan import HeaderMatch, Listener, Port, RouteMatch, VirtualHost

Key = tuple[int, str]
"""A listener: its port, and the server name for which it is chosen."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A match, and its conditions as plain text: those are quick to compare."""

    match: RouteMatch
    conditions: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Mounted:
    """Matches of one route on one host name of a listener, and whether it may be served there."""

    listener: Key
    entrance: Entrance
    hostname: str
    candidates: tuple[Candidate, ...]
    security: str
    is_withheld: bool

    def under(self, key: str) -> "Mounted":
        """A route that is not served still asks for what its host asks for."""
        candidates = tuple(
            replace(item, match=replace(item.match, security=key)) for item in self.candidates
        )
        return replace(self, candidates=candidates)


@dataclass(slots=True)
class _Listener:
    """What is served behind entrances that share a port: host names of their own."""

    entrance: Entrance
    hostnames: dict[str, None] = field(default_factory=dict)
    entrances: list[Entrance] = field(default_factory=list)

    def owner(self, hostname: str) -> Entrance:
        """The entrance that requests for a host come through: the most specific one."""
        return max(
            (item for item in self.entrances if covers(item.listener.hostname or "*", hostname)),
            key=lambda item: specificity(item.listener.hostname or "*"),
        )


class Ports:
    """Collects matches by listener and makes the ports of the plan."""

    def __init__(self, report: Report, security: SecurityPolicies) -> None:
        """No port is taken yet."""
        self._report = report
        self._security = security
        self._ports: dict[int, dict[str, _Listener]] = {}

    def open(self, entrances: Sequence[Entrance]) -> list[Entrance]:
        """Takes the ports of a Gateway, with or without routes; what cannot have one is named."""
        return [entrance for entrance in entrances if self._open(entrance)]

    def _open(self, entrance: Entrance) -> bool:
        listener = entrance.listener
        port = self._ports.setdefault(listener.port, {})
        if fault := _conflict(entrance, port):
            path = f"{entrance.path}.port"
            self._report.error(entrance.gateway.id, Code.CONFLICT, path, fault)
            return False
        found = port.setdefault(_server_name(entrance), _Listener(entrance))
        found.hostnames[listener.hostname or "*"] = None
        found.entrances.append(entrance)
        return True

    def mounted(
        self,
        entrance: Entrance,
        route: AIGatewayRoute,
        rules: Sequence[CompiledRule],
        verdict: Verdict,
    ) -> Iterator[Mounted]:
        """What a route serves on a listener, under its policy."""
        key = (entrance.listener.port, _server_name(entrance))
        candidates = tuple(
            Candidate(
                replace(match, security=verdict.key) if verdict.key else match,
                tuple((item.name, item.value, item.type.value) for item in headers),
            )
            for compiled in rules
            for headers in compiled.matches
            for match in _matches(headers, compiled)
        )
        for written in route.spec.hostnames or ["*"]:
            hostname = intersect(entrance.listener.hostname, written)
            if hostname is not None:
                is_withheld = bool(verdict.guard)
                yield Mounted(key, entrance, hostname, candidates, verdict.key, is_withheld)

    def add_hosts(self, entrance: Entrance, hostnames: Sequence[str]) -> list[str]:
        """Host names of a route that a listener has too; each gets its virtual host."""
        listener = self._ports[entrance.listener.port][_server_name(entrance)]
        own = entrance.listener.hostname
        found = [name for item in hostnames or ["*"] if (name := intersect(own, item))]
        listener.hostnames.update(dict.fromkeys(found))
        return found

    @staticmethod
    def key(entrance: Entrance) -> tuple[int, str]:
        """Number of the port, and `server_name` of its listener in the plan."""
        return (entrance.listener.port, _server_name(entrance) or "*")

    def ports(self, mounted: Iterable[Mounted]) -> tuple[Port, ...]:
        """Ports by number, with virtual hosts and matches in order of precedence.

        `mounted` is in the order of the routes.
        """
        hosts: dict[Key, dict[str, list[Mounted]]] = {
            (number, name): {hostname: [] for hostname in listener.hostnames}
            for number, listeners in self._ports.items()
            for name, listener in listeners.items()
        }
        for item in mounted:
            hosts[item.listener].setdefault(item.hostname, []).append(item)
        return tuple(
            Port(
                number,
                _gateway(listeners),
                tuple(
                    self._listener(found, hosts[number, name]) for name, found in listeners.items()
                ),
                next(iter(listeners.values())).entrance.traffic.port,
            )
            for number, listeners in sorted(self._ports.items())
            if listeners
        )

    def _listener(self, found: _Listener, hosts: Mapping[str, list[Mounted]]) -> Listener:
        """Its virtual hosts: one per name, most specific first."""
        entrance = found.entrance
        names = sorted(hosts, key=lambda name: (specificity(name), name), reverse=True)
        return Listener(
            entrance.name,
            tuple(self._virtual_host(found, hosts, name) for name in names),
            _server_name(entrance) or "*",
            entrance.certificates,
            entrance.traffic.client,
        )

    def _virtual_host(
        self, listener: _Listener, hosts: Mapping[str, list[Mounted]], name: str
    ) -> VirtualHost:
        """The matches of all routes that cover the name of the host.

        A request that no route of its exact host takes goes to the routes for less specific
        hosts: a more specific host comes first, then more header conditions, then the order of
        routes and rules. All of them have one security policy: that of the routes of the
        entrance, which agree, or else its own. Routes of other entrances with another one are
        not for this host.
        """
        owner = listener.owner(name)
        covering = [hosts.get(pattern, []) for pattern in patterns(name)]
        policies = (
            item.security
            for found in covering
            for item in found
            if item.entrance is owner and not item.is_withheld
        )
        policy = next(policies, None)
        verdict = self._security.of_listener(owner) if policy is None else Verdict(policy)
        matches = _first_of_each(
            candidate for found in covering for candidate in _ranked(found, verdict)
        )
        return VirtualHost(name, matches, verdict.key, bool(verdict.guard))


def _ranked(found: Iterable[Mounted], verdict: Verdict) -> list[Candidate]:
    """Matches for one host name under the policy of a host, those with more conditions first."""
    ranked = [candidate for item in found for candidate in _under(item, verdict)]
    ranked.sort(key=_conditions, reverse=True)
    return ranked


def _conditions(candidate: Candidate) -> int:
    return len(candidate.conditions)


def _under(item: Mounted, verdict: Verdict) -> tuple[Candidate, ...]:
    """The matches as they are served under a policy; none where their route has another one."""
    if item.is_withheld:
        return item.under(verdict.key).candidates
    return () if verdict.guard or item.security != verdict.key else item.candidates


def _conflict(entrance: Entrance, port: dict[str, _Listener]) -> str | None:
    """Why an entrance cannot share a port with those that have it."""
    if not port:
        return None
    other = next(iter(port.values())).entrance
    if other.gateway is not entrance.gateway:
        return f"{entrance.listener.port} belongs to {other.gateway.id} already"
    if other.listener.protocol != entrance.listener.protocol:
        return f"{entrance.listener.port} is for {other.listener.protocol} already"
    return None


def _server_name(entrance: Entrance) -> str:
    """HTTP listeners of a port are one; HTTPS listeners are chosen by the name asked for."""
    is_http = entrance.listener.protocol == "HTTP"
    return "" if is_http else entrance.listener.hostname or "*"


def _gateway(listeners: dict[str, _Listener]) -> str:
    return next(iter(listeners.values())).entrance.gateway.id.path


def _matches(headers: tuple[HeaderMatch, ...], compiled: CompiledRule) -> Iterator[RouteMatch]:
    """Endpoints that only some backends serve come before all others."""
    for rule, paths in compiled.narrowed:
        yield RouteMatch(headers, rule.id, paths)
    yield RouteMatch(headers, compiled.rule.id)


def _first_of_each(ranked: Iterable[Candidate]) -> tuple[RouteMatch, ...]:
    """Without matches that an equal one before them hides."""
    found: list[RouteMatch] = []
    whole: set[object] = set()
    some: set[object] = set()
    key: object
    for item in ranked:
        conditions, match = item.conditions, item.match
        if match.paths:
            if conditions in whole:
                continue
            seen, key = some, (conditions, match.paths)
        else:
            seen, key = whole, conditions
        size = len(seen)
        seen.add(key)  # one look, where asking first would be two
        if len(seen) > size:
            found.append(match)
    return tuple(found)
