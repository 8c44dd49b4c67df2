"""Ports of the plan: what is matched on each, in order of precedence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.compile.hosts import covers, intersect, specificity
from aigw.compile.listeners import Entrance
from aigw.compile.report import Report
from aigw.compile.routes import CompiledRule
from aigw.compile.security import SecurityPolicies, Verdict
from aigw.errors import Code
from aigw.plan import HeaderMatch, Listener, Port, RouteMatch, VirtualHost


@dataclass(frozen=True, slots=True)
class _Entry:
    """A match for a host name, the entrance it is served on, and whether it may be."""

    hostname: str
    match: RouteMatch
    entrance: Entrance
    is_withheld: bool


@dataclass(slots=True)
class _Listener:
    """What is served behind entrances that share a port: host names, and matches of each."""

    entrance: Entrance
    entries: list[_Entry] = field(default_factory=list)
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

    def add(
        self,
        entrance: Entrance,
        route: AIGatewayRoute,
        rules: Sequence[CompiledRule],
        verdict: Verdict,
    ) -> None:
        """Serves the rules of a route on a listener, under its policy."""
        listener = self._ports[entrance.listener.port][_server_name(entrance)]
        for written in route.spec.hostnames or ["*"]:
            hostname = intersect(entrance.listener.hostname, written)
            if hostname is None:
                continue
            listener.hostnames[hostname] = None
            listener.entries.extend(
                _Entry(
                    hostname, replace(match, security=verdict.key), entrance, bool(verdict.guard)
                )
                for compiled in rules
                for headers in compiled.matches
                for match in _matches(headers, compiled)
            )

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

    def ports(self) -> tuple[Port, ...]:
        """Ports by number, with virtual hosts and matches in order of precedence."""
        return tuple(
            Port(
                number,
                _gateway(listeners),
                tuple(map(self._listener, listeners.values())),
                next(iter(listeners.values())).entrance.traffic.port,
            )
            for number, listeners in sorted(self._ports.items())
            if listeners
        )

    def _listener(self, found: _Listener) -> Listener:
        """Its virtual hosts: one per name, most specific first."""
        entrance = found.entrance
        names = sorted(found.hostnames, key=lambda name: (specificity(name), name), reverse=True)
        return Listener(
            entrance.name,
            tuple(self._virtual_host(found, name) for name in names),
            _server_name(entrance) or "*",
            entrance.certificates,
            entrance.traffic.client,
        )

    def _virtual_host(self, listener: _Listener, name: str) -> VirtualHost:
        """The matches of all routes that cover the name of the host.

        A request that no route of its exact host takes goes to the routes for less specific
        hosts. All of them have one security policy: that of the routes of the entrance, which
        agree, or else its own. Routes of other entrances with another one are not for this host.
        """
        owner = listener.owner(name)
        entries = [entry for entry in listener.entries if covers(entry.hostname, name)]
        policies = [
            entry.match.security
            for entry in entries
            if entry.entrance is owner and not entry.is_withheld
        ]
        verdict = Verdict(policies[0]) if policies else self._security.of_listener(owner)
        kept = [
            entry if not entry.is_withheld else replace(entry, match=_under(entry, verdict))
            for entry in entries
            if entry.is_withheld or (not verdict.guard and entry.match.security == verdict.key)
        ]
        return VirtualHost(name, _in_order(kept), verdict.key, bool(verdict.guard))


def _under(entry: _Entry, verdict: Verdict) -> RouteMatch:
    """A route that is not served still asks for what its host asks for."""
    return replace(entry.match, security=verdict.key)


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


def _in_order(entries: list[_Entry]) -> tuple[RouteMatch, ...]:
    """More specific host, then more header conditions, then the order of routes and rules."""
    ranked = sorted(
        entries,
        key=lambda entry: (specificity(entry.hostname), len(entry.match.headers)),
        reverse=True,
    )
    return _first_of_each([entry.match for entry in ranked])


def _first_of_each(ranked: list[RouteMatch]) -> tuple[RouteMatch, ...]:
    """Without matches that an equal one before them hides."""
    seen: dict[tuple[tuple[HeaderMatch, ...], tuple[str, ...]], RouteMatch] = {}
    hidden: set[tuple[HeaderMatch, ...]] = set()
    for match in ranked:
        if match.headers not in hidden:
            seen.setdefault((match.headers, match.paths), match)
        if not match.paths:
            hidden.add(match.headers)
    return tuple(seen.values())
