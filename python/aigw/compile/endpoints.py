"""Backends and their TLS policies to endpoints."""

from dataclasses import dataclass
from ipaddress import ip_address

from aigw.api.backend import Backend, BackendEndpoint
from aigw.api.backend_tls_policy import BackendTLSPolicy
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code
from aigw.plan import AddressKind, Endpoint, Tls, Verification

_TLS_KIND = (BackendTLSPolicy.GROUP, BackendTLSPolicy.KIND)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Addresses of a Backend and how they are reached."""

    endpoints: tuple[Endpoint, ...]
    tls: Tls | None


class Upstreams:
    """Upstreams by Backend; each one is read and reported once."""

    def __init__(self, index: Index, report: Report) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._policies = index.all(BackendTLSPolicy)
        self._known: dict[tuple[str, str], Upstream | None] = {}

    def get(self, namespace: str, name: str) -> Upstream | None:
        """The upstream of a Backend, or None when the Backend is missing or unusable."""
        key = (namespace, name)
        if key not in self._known:
            backend = self._index.get(Backend, namespace, name)
            self._known[key] = self._read(backend) if backend else None
        return self._known[key]

    def _read(self, backend: Backend) -> Upstream | None:
        if self._index.rejected_policies(_TLS_KIND, backend.id):
            message = "a BackendTLSPolicy for it has errors, and plain text is not an alternative"
            self._report.error(backend.id, Code.LEFT_OUT, "", message)
            return None
        if self._has_port_policy(backend):
            return None
        endpoints: list[Endpoint] = []
        for index, written in enumerate(backend.spec.endpoints):
            endpoint = _endpoint(written)
            if endpoint is None:
                path = f"spec.endpoints[{index}].ip.address"
                self._report.error(backend.id, Code.INVALID_FIELD, path, "is not an IP address")
                return None
            endpoints.append(endpoint)
        return Upstream(tuple(endpoints), self._tls(backend, endpoints[0].hostname))

    def _has_port_policy(self, backend: Backend) -> bool:
        """Whether TLS is asked for on single ports: for all or none of them would be wrong."""
        for policy in self._policies:
            for position, ref in enumerate(policy.spec.target_refs):
                if ref.section_name and _targets(policy, backend):
                    message = "settings of single ports are not supported yet"
                    path = f"spec.targetRefs[{position}].sectionName"
                    self._report.error(policy.id, Code.UNSUPPORTED, path, message)
                    message = f"is left out, because {policy.id} cannot be applied as it is written"
                    self._report.error(backend.id, Code.LEFT_OUT, "", message)
                    return True
        return False

    def _tls(self, backend: Backend, hostname: str) -> Tls | None:
        policies = [policy for policy in self._policies if _targets(policy, backend)]
        for extra in policies[1:]:
            message = f"{policies[0].id} already applies to {backend.id}"
            self._report.warning(extra.id, Code.CONFLICT, "spec.targetRefs", message)
        if policies:
            return Tls(policies[0].spec.validation.hostname)
        settings = backend.spec.tls
        if settings is None:
            return None
        name = settings.sni or hostname.strip("[]")
        return Tls(
            name, Verification.NONE if settings.insecure_skip_verify else Verification.SYSTEM
        )


def _endpoint(written: BackendEndpoint) -> Endpoint | None:
    if written.fqdn is not None:
        name = written.fqdn.hostname
        hostname = written.hostname or name
        if _is_ip(name):
            return Endpoint(name, written.fqdn.port, hostname, AddressKind.IP)
        return Endpoint(name, written.fqdn.port, hostname, AddressKind.DNS)
    if written.ip is None or not _is_ip(written.ip.address):
        return None
    address = written.ip.address
    host = f"[{address}]" if ":" in address else address
    return Endpoint(address, written.ip.port, written.hostname or host, AddressKind.IP)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _targets(policy: BackendTLSPolicy, backend: Backend) -> bool:
    return policy.namespace == backend.namespace and any(
        (ref.group, ref.kind, ref.name) == (backend.GROUP, backend.KIND, backend.metadata.name)
        for ref in policy.spec.target_refs
    )
