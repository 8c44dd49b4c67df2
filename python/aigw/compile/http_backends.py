"""Backends of HTTPRoutes."""

from aigw.api.backend import Backend
from aigw.api.http_route import HTTPRoute
from aigw.api.references import BackendObjectReference
from aigw.compile.endpoints import Upstreams
from aigw.compile.grants import Grants, Referrer, not_permitted
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan_http import HttpBackend


class HttpBackends:
    """Backends by reference; those that are used are kept."""

    def __init__(self, index: Index, report: Report, upstreams: Upstreams) -> None:
        """Nothing is used yet."""
        self._index = index
        self._report = report
        self._grants = Grants(index)
        self._upstreams = upstreams
        self.found: dict[str, HttpBackend] = {}

    def resolve(
        self, route: HTTPRoute, ref: BackendObjectReference, path: str
    ) -> HttpBackend | None:
        """A backend, or None after a report."""
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
        return self._use(route, target, path)

    def _use(self, route: HTTPRoute, target: ResourceId, path: str) -> HttpBackend | None:
        upstream = self._upstreams.get(target.namespace, target.name)
        if upstream is None and self._index.is_written(target):
            message = f"{target} has errors and is left out"
            self._report.warning(route.id, Code.LEFT_OUT, path, message)
        elif upstream is None:
            self._report.error(route.id, Code.NOT_FOUND, path, f"{target} not found")
        if upstream is None:
            return None
        backend = HttpBackend(target.path, upstream.endpoints, upstream.tls)
        return self.found.setdefault(target.path, backend)
