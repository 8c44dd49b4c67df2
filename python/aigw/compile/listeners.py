"""Gateway listeners and the routes attached to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.gateway import Listener as GatewayListener
from aigw.api.references import ParentReference
from aigw.compile.hosts import covers, intersect, specificity
from aigw.compile.report import Report
from aigw.compile.routes import CompiledRule
from aigw.errors import Code
from aigw.plan import HeaderMatch, Listener, RouteMatch, VirtualHost

# A route of ours is an HTTPRoute to a Gateway.
_ROUTE_KINDS = {
    (Gateway.GROUP, "HTTPRoute"),
    (AIGatewayRoute.GROUP, AIGatewayRoute.KIND),
}


@dataclass(slots=True)
class Port:
    """What is served on one port: host names and matches of each."""

    name: str
    number: int
    entries: list[tuple[str, RouteMatch]] = field(default_factory=list)
    hostnames: dict[str, None] = field(default_factory=dict)


def usable_listeners(gateway: Gateway, report: Report) -> list[GatewayListener]:
    """Listeners that can be served; the others are named."""
    usable: list[GatewayListener] = []
    for index, listener in enumerate(gateway.spec.listeners):
        path = f"spec.listeners[{index}]"
        if listener.protocol != "HTTP":
            message = f"{listener.protocol} listeners are not supported yet"
            report.error(gateway.id, Code.UNSUPPORTED, f"{path}.protocol", message)
        elif listener.allowed_routes.namespaces.from_ == "Selector":
            message = "namespace selectors are not supported yet"
            path = f"{path}.allowedRoutes.namespaces.from"
            report.error(gateway.id, Code.UNSUPPORTED, path, message)
        else:
            usable.append(listener)
    return usable


def attachments(
    gateway: Gateway,
    listeners: Sequence[GatewayListener],
    route: AIGatewayRoute,
    report: Report,
) -> list[GatewayListener]:
    """The listeners of `gateway` that serve `route`; parentRefs that fail are named."""
    attached: dict[str, GatewayListener] = {}
    if not route.spec.parent_refs:
        message = "names no Gateway, so the route is not served"
        report.warning(route.id, Code.NO_EFFECT, "spec.parentRefs", message)
    for index, ref in enumerate(route.spec.parent_refs):
        path = f"spec.parentRefs[{index}]"
        namespace = ref.namespace or route.namespace
        if ref.group != Gateway.GROUP:
            message = f"only {Gateway.GROUP} is supported"
            report.error(route.id, Code.INVALID_FIELD, f"{path}.group", message)
        elif (namespace, ref.name) != (gateway.namespace, gateway.metadata.name):
            message = f"gateway {namespace}/{ref.name} not found"
            report.error(route.id, Code.NOT_FOUND, path, message)
        else:
            found = [item for item in listeners if _accepts(gateway, item, route, ref)]
            if not found:
                message = "no listener of the Gateway accepts this route"
                report.error(route.id, Code.NOT_PERMITTED, path, message)
            attached.update({item.name: item for item in found})
    return list(attached.values())


def _accepts(
    gateway: Gateway, listener: GatewayListener, route: AIGatewayRoute, ref: ParentReference
) -> bool:
    origin = listener.allowed_routes.namespaces.from_
    if origin != "All" and (origin != "Same" or route.namespace != gateway.namespace):
        return False
    kinds = listener.allowed_routes.kinds
    if kinds and not any((item.group, item.kind) in _ROUTE_KINDS for item in kinds):
        return False
    if ref.section_name is not None and ref.section_name != listener.name:
        return False
    if ref.port is not None and ref.port != listener.port:
        return False
    hostnames = route.spec.hostnames or ["*"]
    return any(intersect(listener.hostname, hostname) for hostname in hostnames)


class Ports:
    """Collects matches by port and makes the listeners of the plan."""

    def __init__(self, listeners: Sequence[GatewayListener]) -> None:
        """Every port exists, even without routes."""
        self._ports: dict[int, Port] = {}
        for listener in listeners:
            port = self._ports.setdefault(listener.port, Port(listener.name, listener.port))
            port.hostnames[listener.hostname or "*"] = None

    def add(
        self, listener: GatewayListener, route: AIGatewayRoute, rules: Sequence[CompiledRule]
    ) -> None:
        """Serves the rules of a route on a listener."""
        port = self._ports[listener.port]
        for written in route.spec.hostnames or ["*"]:
            hostname = intersect(listener.hostname, written)
            if hostname is None:
                continue
            port.hostnames[hostname] = None
            port.entries.extend(
                (hostname, match)
                for compiled in rules
                for headers in compiled.matches
                for match in _matches(headers, compiled)
            )

    def listeners(self) -> tuple[Listener, ...]:
        """Listeners by port, with virtual hosts and matches in order of precedence."""
        return tuple(
            Listener(port.name, port.number, _virtual_hosts(port))
            for _, port in sorted(self._ports.items())
        )


def _matches(headers: tuple[HeaderMatch, ...], compiled: CompiledRule) -> Iterator[RouteMatch]:
    """Endpoints that only some backends serve come before all others."""
    for rule, paths in compiled.narrowed:
        yield RouteMatch(headers, rule.id, paths)
    yield RouteMatch(headers, compiled.rule.id)


def _virtual_hosts(port: Port) -> tuple[VirtualHost, ...]:
    """One virtual host per name, most specific first.

    Each holds the matches of all routes that cover its name, because a request that no route
    of its exact host takes goes to the routes for less specific hosts.
    """
    names = sorted(port.hostnames, key=lambda name: (specificity(name), name), reverse=True)
    return tuple(
        VirtualHost(
            name,
            _in_order([entry for entry in port.entries if covers(entry[0], name)]),
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
