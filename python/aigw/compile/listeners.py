"""Gateway listeners, and the routes attached to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway, Listener, RouteNamespaces
from aigw.api.namespace import Namespace
from aigw.api.references import ParentReference
from aigw.compile.certificates import Certificates
from aigw.compile.grants import Reference
from aigw.compile.hosts import intersect
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.compile.traffic.client import ClientPolicies, ListenerTraffic
from aigw.errors import Code, ResourceId
from aigw.plan import Certificate

# A route of ours is an HTTPRoute to a Gateway.
if TYPE_CHECKING:
    from aigw.api.http_route import HTTPRoute

_HTTP_ROUTE = (Gateway.GROUP, "HTTPRoute")
_ROUTE_KINDS = {
    "HTTPRoute": {_HTTP_ROUTE},
    AIGatewayRoute.KIND: {_HTTP_ROUTE, (AIGatewayRoute.GROUP, AIGatewayRoute.KIND)},
}
_NAMESPACES = {
    "Same": "routes of its own namespace only",
    "None": "no routes",
    "Selector": "only routes of namespaces with other labels",
}
"""What is said of listeners that do not take a route, by `allowedRoutes.namespaces.from`."""
_NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Entrance:
    """A listener that can be served, where it is written, and the keys of its certificates."""

    gateway: Gateway
    index: int
    listener: Listener
    certificates: tuple[str, ...] = ()
    traffic: ListenerTraffic = field(default_factory=ListenerTraffic)

    @property
    def name(self) -> str:
        """`<ns>/<gateway>/<listener>`."""
        return f"{self.gateway.id.path}/{self.listener.name}"

    @property
    def path(self) -> str:
        """Field path in the Gateway."""
        return f"spec.listeners[{self.index}]"


Attachment = Sequence[tuple[Gateway, Sequence[Entrance]]]
"""The listeners that serve a route, by Gateway."""


class Entrances:
    """Reads the listeners of Gateways, and their certificates."""

    def __init__(self, index: Index, report: Report, clients: ClientPolicies) -> None:
        """Nothing is read yet."""
        self._report = report
        self._clients = clients
        self._found = Certificates(index, report)

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """By the keys of the plan."""
        return self._found.pairs

    def of(self, gateway: Gateway) -> list[Entrance]:
        """Listeners that can be served; the others are named."""
        found: list[Entrance] = []
        for index, listener in enumerate(gateway.spec.listeners):
            entrance = Entrance(gateway, index, listener)
            if listener.protocol in ("HTTP", "HTTPS"):
                keys = self._certificates(entrance) if listener.protocol == "HTTPS" else ()
                traffic = self._clients.of(gateway, listener)
                if traffic and (keys or listener.protocol == "HTTP"):
                    found.append(Entrance(gateway, index, listener, keys, traffic))
            else:
                message = f"{listener.protocol} listeners are not supported, only HTTP and HTTPS"
                path = f"{entrance.path}.protocol"
                self._report.error(gateway.id, Code.UNSUPPORTED, path, message)
        if not found:
            message = f"gateway {gateway.metadata.name} has no listeners configured"
            if gateway.spec.listeners:
                message = f"gateway {gateway.metadata.name} has no listener that can be served"
            self._report.error(gateway.id, Code.INVALID_FIELD, "spec.listeners", message)
        return found

    def _certificates(self, entrance: Entrance) -> tuple[str, ...]:
        gateway, tls = entrance.gateway, entrance.listener.tls
        if tls is None or tls.mode == "Passthrough":
            path = f"{entrance.path}.tls"
            message = "an HTTPS listener needs tls with mode Terminate and certificateRefs"
            self._report.error(gateway.id, Code.INVALID_FIELD, path, message)
            return ()
        keys: list[str] = []
        for position, ref in enumerate(tls.certificate_refs):
            path = f"{entrance.path}.tls.certificateRefs[{position}]"
            if key := self._found.pair(Reference(gateway, ref, path)):
                keys.append(key)
        return tuple(keys)


class Attachments:
    """Which listeners serve a route."""

    def __init__(
        self, entrances: Mapping[tuple[str, str], Sequence[Entrance]], index: Index, report: Report
    ) -> None:
        """`entrances` are by namespace and name of their Gateway."""
        self._entrances = entrances
        self._index = index
        self._report = report

    def of(self, route: "AIGatewayRoute | HTTPRoute") -> Attachment:
        """Listeners by Gateway; parentRefs that fail are named."""
        attached: dict[str, dict[str, Entrance]] = {}
        if not route.spec.parent_refs:
            message = "names no Gateway, so the route is not served"
            self._report.warning(route.id, Code.NO_EFFECT, "spec.parentRefs", message)
        for index, ref in enumerate(route.spec.parent_refs):
            for entrance in self._accepting(route, ref, f"spec.parentRefs[{index}]"):
                same = attached.setdefault(entrance.gateway.id.path, {})
                same[entrance.name] = entrance
        return [
            (next(iter(found.values())).gateway, list(found.values()))
            for found in attached.values()
        ]

    def _accepting(
        self, route: "AIGatewayRoute | HTTPRoute", ref: ParentReference, path: str
    ) -> list[Entrance]:
        namespace = ref.namespace or route.namespace
        if ref.group != Gateway.GROUP or ref.kind != Gateway.KIND:
            message = f"only Gateway of {Gateway.GROUP} is supported"
            self._report.error(route.id, Code.INVALID_FIELD, f"{path}.group", message)
            return []
        entrances = self._entrances.get((namespace, ref.name))
        if entrances is None:
            target = ResourceId(Gateway.GROUP, Gateway.KIND, namespace, ref.name)
            fault = "has errors" if self._index.is_written(target) else "not found"
            message = f"gateway {namespace}/{ref.name} {fault}"
            self._report.error(route.id, Code.NOT_FOUND, path, message)
            return []
        meant = [item for item in entrances if _means(ref, item.listener)]
        refusals = [self._refusal(item, route) for item in meant]
        found = [item for item, why in zip(meant, refusals, strict=True) if why is None]
        if not found:
            message = "the Gateway has no listener that can be served"
            if refusals:
                why = "; ".join(filter(None, refusals))
                message = f"no listener of the Gateway accepts this route: {why}"
            elif entrances:
                message = _unknown(ref, entrances[0].gateway)
            self._report.error(route.id, Code.NOT_PERMITTED, path, message)
        return found

    def _refusal(self, entrance: Entrance, route: "AIGatewayRoute | HTTPRoute") -> str | None:
        """Why a listener does not serve a route; None where it does."""
        listener = entrance.listener
        allowed = listener.allowed_routes
        if not self._takes(allowed.namespaces, entrance.gateway.namespace, route.namespace):
            return f"{listener.name} takes {_NAMESPACES[allowed.namespaces.from_]}"
        kinds = _ROUTE_KINDS[route.KIND]
        if allowed.kinds and not any((i.group, i.kind) in kinds for i in allowed.kinds):
            named = ", ".join(f"{item.kind}.{item.group}" for item in allowed.kinds)
            return f"{listener.name} takes only routes of the kind {named}"
        hostnames = route.spec.hostnames or ["*"]
        if any(intersect(listener.hostname, hostname) for hostname in hostnames):
            return None
        return f"{listener.name} is for {listener.hostname}, and the route has other host names"

    def _takes(self, allowed: RouteNamespaces, own: str, other: str) -> bool:
        match allowed.from_:
            case "All":
                return True
            case "Same":
                return own == other
            case "None":
                return False
            case "Selector":
                namespace = self._index.get(Namespace, "", other)
                labels = namespace.metadata.labels if namespace else {}
                selector = allowed.selector
                return selector is not None and selector.accepts({**labels, _NAME_LABEL: other})


def _means(ref: ParentReference, listener: Listener) -> bool:
    names = (None, listener.name)
    return ref.section_name in names and ref.port in (None, listener.port)


def _unknown(ref: ParentReference, gateway: Gateway) -> str:
    """Why a reference means no listener that is served."""
    written = [item for item in gateway.spec.listeners if _means(ref, item)]
    if written:
        return f"the listener {written[0].name} cannot be served"
    name = f" of the name {ref.section_name}" if ref.section_name is not None else ""
    port = f" on port {ref.port}" if ref.port is not None else ""
    return f"the Gateway has no listener{name}{port}"
