"""Backends to endpoints: where a provider is, and how it is spoken to."""

from dataclasses import dataclass

from aigw.api.backend import Backend, BackendEndpoint
from aigw.compile.certificates import Certificates
from aigw.compile.hosts import is_address
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.compile.tls import BackendTls, Unusable
from aigw.errors import Code
from aigw.plan import AddressKind, Endpoint, Tls

_H2C = "gateway.envoyproxy.io/h2c"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Addresses of a Backend and how they are reached."""

    endpoints: tuple[Endpoint, ...]
    tls: Tls | None
    http2: bool = False
    is_fallback: bool = False


class Upstreams:
    """Upstreams by Backend; each one is read and reported once."""

    def __init__(self, index: Index, report: Report, certificates: Certificates) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._tls = BackendTls(index, report, certificates)
        self._known: dict[tuple[str, str], Upstream | None] = {}

    def get(self, namespace: str, name: str) -> Upstream | None:
        """The upstream of a Backend, or None when the Backend is missing or unusable."""
        key = (namespace, name)
        if key not in self._known:
            backend = self._index.get(Backend, namespace, name)
            self._known[key] = self._read(backend) if backend else None
        return self._known[key]

    def _read(self, backend: Backend) -> Upstream | None:
        endpoints: list[Endpoint] = []
        for index, written in enumerate(backend.spec.endpoints):
            endpoint = _endpoint(written)
            if endpoint is None:
                path = f"spec.endpoints[{index}].ip.address"
                self._report.error(backend.id, Code.INVALID_FIELD, path, "is not an IP address")
                return None
            endpoints.append(endpoint)
        tls = self._tls.of(backend, [endpoint.hostname for endpoint in endpoints])
        if isinstance(tls, Unusable) or not self._has_known_protocols(backend, tls):
            return None
        http2 = tls is None and _H2C in backend.spec.app_protocols
        return Upstream(tuple(endpoints), tls, http2, backend.spec.fallback)

    def _has_known_protocols(self, backend: Backend, tls: Tls | None) -> bool:
        usable = True
        for position, protocol in enumerate(backend.spec.app_protocols):
            path = f"spec.appProtocols[{position}]"
            if protocol != _H2C:
                message = f"{protocol} is not supported: no endpoint of the gateway has WebSockets"
                self._report.error(backend.id, Code.UNSUPPORTED, path, message)
                usable = False
            elif tls:
                message = "has no effect with TLS, which negotiates HTTP/2 itself"
                self._report.warning(backend.id, Code.NO_EFFECT, path, message)
        return usable


def _endpoint(written: BackendEndpoint) -> Endpoint | None:
    if written.fqdn is not None:
        name = written.fqdn.hostname
        hostname = written.hostname or name
        if is_address(name):
            return Endpoint(name, written.fqdn.port, hostname, AddressKind.IP)
        return Endpoint(name, written.fqdn.port, hostname, AddressKind.DNS)
    if written.unix is not None:
        hostname = written.hostname or "localhost"
        return Endpoint(written.unix.path, 0, hostname, AddressKind.UNIX)
    if written.ip is None or not is_address(written.ip.address):
        return None
    address = written.ip.address
    host = f"[{address}]" if ":" in address else address
    return Endpoint(address, written.ip.port, written.hostname or host, AddressKind.IP)
