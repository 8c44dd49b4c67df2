"""Ports of the plan: what is matched on each, in order of precedence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.compile.hosts import covers, intersect, specificity
from aigw.compile.listeners import Entrance
from aigw.compile.report import Report
from aigw.compile.routes import CompiledRule
from aigw.errors import Code
from aigw.plan import HeaderMatch, Listener, Port, RouteMatch, VirtualHost


@dataclass(slots=True)
class _Listener:
    """What is served behind one entrance: host names, and matches of each."""

    entrance: Entrance
    entries: list[tuple[str, RouteMatch]] = field(default_factory=list)
    hostnames: dict[str, None] = field(default_factory=dict)


class Ports:
    """Collects matches by listener and makes the ports of the plan."""

    def __init__(self, report: Report) -> None:
        """No port is taken yet."""
        self._report = report
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
        return True

    def add(self, entrance: Entrance, route: AIGatewayRoute, rules: Sequence[CompiledRule]) -> None:
        """Serves the rules of a route on a listener."""
        listener = self._ports[entrance.listener.port][_server_name(entrance)]
        for written in route.spec.hostnames or ["*"]:
            hostname = intersect(entrance.listener.hostname, written)
            if hostname is None:
                continue
            listener.hostnames[hostname] = None
            listener.entries.extend(
                (hostname, match)
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
                tuple(map(_listener, listeners.values())),
                next(iter(listeners.values())).entrance.traffic.port,
            )
            for number, listeners in sorted(self._ports.items())
            if listeners
        )


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


def _listener(found: _Listener) -> Listener:
    entrance = found.entrance
    return Listener(
        entrance.name,
        _virtual_hosts(found),
        _server_name(entrance) or "*",
        entrance.certificates,
        entrance.traffic.client,
    )


def _matches(headers: tuple[HeaderMatch, ...], compiled: CompiledRule) -> Iterator[RouteMatch]:
    """Endpoints that only some backends serve come before all others."""
    for rule, paths in compiled.narrowed:
        yield RouteMatch(headers, rule.id, paths)
    yield RouteMatch(headers, compiled.rule.id)


def _virtual_hosts(listener: _Listener) -> tuple[VirtualHost, ...]:
    """One virtual host per name, most specific first.

    Each holds the matches of all routes that cover its name, because a request that no route
    of its exact host takes goes to the routes for less specific hosts.
    """
    names = sorted(listener.hostnames, key=lambda name: (specificity(name), name), reverse=True)
    return tuple(
        VirtualHost(
            name,
            _in_order([entry for entry in listener.entries if covers(entry[0], name)]),
        )
        for name in names
    )


def _in_order(entries: list[tuple[str, RouteMatch]]) -> tuple[RouteMatch, ...]:
    """More specific host, then more header conditions, then the order of routes and rules."""
    ranked = sorted(
        entries, key=lambda entry: (specificity(entry[0]), len(entry[1].headers)), reverse=True
    )
    return _first_of_each(ranked)


def _first_of_each(ranked: list[tuple[str, RouteMatch]]) -> tuple[RouteMatch, ...]:
    """Without matches that an equal one before them hides."""
    seen: dict[tuple[tuple[HeaderMatch, ...], tuple[str, ...]], RouteMatch] = {}
    hidden: set[tuple[HeaderMatch, ...]] = set()
    for _, match in ranked:
        if match.headers not in hidden:
            seen.setdefault((match.headers, match.paths), match)
        if not match.paths:
            hidden.add(match.headers)
    return tuple(seen.values())
