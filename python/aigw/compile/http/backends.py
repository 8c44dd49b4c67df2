"""Backends of HTTPRoutes."""

from dataclasses import dataclass, field, replace

from aigw.api.backend import Backend
from aigw.api.gateway import Gateway
from aigw.api.http_route import HTTPRoute
from aigw.api.references import BackendObjectReference
from aigw.compile.egress import Egress
from aigw.compile.endpoints import Upstreams
from aigw.compile.grants import Grants, Referrer, not_permitted
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan.http import HttpBackend


@dataclass(frozen=True, slots=True)
class Attached:
    """A route at one of its Gateways, and the backends that it uses, by name."""

    gateway: Gateway
    route: HTTPRoute
    used: dict[str, HttpBackend] = field(default_factory=dict)


class HttpBackends:
    """Backends by reference."""

    def __init__(self, index: Index, report: Report, upstreams: Upstreams, egress: Egress) -> None:
        """Nothing is read yet."""
        self._oldest = index.all(Gateway)[0]
        self._egress = egress
        self._index = index
        self._report = report
        self._grants = Grants(index)
        self._upstreams = upstreams

    def resolve(self, at: Attached, ref: BackendObjectReference, path: str) -> HttpBackend | None:
        """A backend as a Gateway reaches it, or None after a report."""
        route = at.route
        if (ref.group, ref.kind) != (Backend.GROUP, Backend.KIND):
            message = f"{ref.kind} is not supported here, only Backend of {Backend.GROUP}"
            if (ref.group, ref.kind) == ("", "Service"):
                message = (
                    f"there is no cluster with a Service {ref.name} here; use a Backend of "
                    f"{Backend.GROUP} with its address"
                )
            self._report.error(route.id, Code.UNSUPPORTED, f"{path}.kind", message)
            return None
        target = ResourceId(ref.group, ref.kind, ref.namespace or route.namespace, ref.name)
        referrer = Referrer.of(route)
        if not self._grants.allow(referrer, target):
            message = not_permitted(referrer, target)
            self._report.error(route.id, Code.NOT_PERMITTED, f"{path}.namespace", message)
            return None
        if ref.port is not None:
            message = "has no effect; the endpoints of the Backend have their own"
            self._report.warning(route.id, Code.NO_EFFECT, f"{path}.port", message)
        return self._use(at, target, path)

    def _use(self, at: Attached, target: ResourceId, path: str) -> HttpBackend | None:
        gateway, route = at.gateway, at.route
        upstream = self._upstreams.get(target.namespace, target.name)
        if upstream is None and self._index.is_written(target):
            message = f"{target} has errors and is left out"
            self._report.warning(route.id, Code.LEFT_OUT, path, message)
        elif upstream is None:
            self._report.error(route.id, Code.NOT_FOUND, path, f"{target} not found")
        elif upstream.is_fallback:
            message = f"{target} is a fallback, which plain routes do not have; it is left out"
            self._report.error(route.id, Code.UNSUPPORTED, path, message)
        else:
            backend = HttpBackend(target.path, upstream.endpoints, upstream.tls, upstream.http2)
            reached = self._egress.applied(gateway, backend)
            if isinstance(reached, HttpBackend):
                found = self._named(gateway, backend, reached)
                return at.used.setdefault(found.name, found)
            message = f"{target} is left out, because {reached}"
            self._report.error(route.id, Code.LEFT_OUT, path, message)
        return None

    def _named(self, gateway: Gateway, plain: HttpBackend, reached: HttpBackend) -> HttpBackend:
        """Other Gateways than the oldest may reach it in another way, under a name of their own."""
        usual = self._report.noting(lambda: self._egress.applied(self._oldest, plain)).value
        own = f"{plain.name}@{gateway.id.path}"
        return reached if reached == usual else replace(reached, name=own)
