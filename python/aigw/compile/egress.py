"""How a Gateway reaches providers: its client certificate, defaults of TLS, and proxies."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from aigw.api.gateway import Gateway
from aigw.compile.certificates import Certificates
from aigw.compile.grants import Reference
from aigw.compile.index import Index
from aigw.compile.proxies import Proxies
from aigw.compile.report import Once, Report
from aigw.compile.telemetry import proxy_of, rejected_proxy_of
from aigw.compile.tls import client_settings
from aigw.plan import Backend, Endpoint, Proxy, Tls, TlsParameters
from aigw.plan.http import HttpBackend

T = TypeVar("T", Backend, HttpBackend)

_VERSIONS = frozenset({"min_version", "max_version"})


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What holds where a Backend says nothing; None: it has errors."""

    certificate: str | None
    parameters: TlsParameters | None


class Egress:
    """Applies what Gateways say to the backends that they use."""

    def __init__(self, index: Index, report: Report, variables: Mapping[str, str]) -> None:
        """`variables` are those of the environment."""
        self._index = index
        self._report = report
        self._proxies = Proxies(index, report, variables)
        self._once: Once[_Defaults] = Once(report)
        self.certificates = Certificates(index, report)

    @property
    def proxies(self) -> Mapping[str, Proxy]:
        """All proxies that were asked for, by their keys in the plan."""
        return self._proxies.found

    def applied(self, gateway: Gateway, backend: T) -> T | str:
        """The backend as this Gateway reaches it, or why it cannot be reached."""
        tls = backend.tls
        if tls is not None:
            tls = self._tls(gateway, tls)
            if tls is None:
                return f"the TLS settings of {gateway.id} have errors"
        endpoints: list[Endpoint] = []
        for endpoint in backend.endpoints:
            proxy = self._proxies.of(gateway, endpoint, has_tls=tls is not None)
            if proxy is None:
                return "the proxy of the environment cannot be used"
            endpoints.append(replace(endpoint, proxy=proxy))
        return replace(backend, tls=tls, endpoints=tuple(endpoints))

    def _tls(self, gateway: Gateway, own: Tls) -> Tls | None:
        defaults = self._once.get(gateway.id.path, lambda: self._read(gateway))
        certificate = own.client_certificate or defaults.certificate
        if certificate is None or defaults.parameters is None:
            return None
        parameters = merged(own.parameters, defaults.parameters)
        return replace(own, client_certificate=certificate, parameters=parameters)

    def _read(self, gateway: Gateway) -> _Defaults:
        """The Gateway's own certificate comes before that of its EnvoyProxy."""
        rejected = rejected_proxy_of(gateway, self._index, self._report)
        if rejected and self._index.mentions(rejected, "backendTLS"):
            return _Defaults(None, None)
        certificate: str | None = ""
        parameters: TlsParameters | None = TlsParameters()
        proxy = proxy_of(gateway, self._index, self._report)
        if proxy and proxy.spec.backend_tls:
            certificate, parameters = client_settings(
                proxy, proxy.spec.backend_tls, "spec.backendTLS", self.certificates, self._report
            )
        tls, older = gateway.spec.tls, gateway.spec.backend_tls
        places = {"spec.tls.backend": tls.backend if tls else None, "spec.backendTLS": older}
        for path, settings in places.items():
            if settings and settings.client_certificate_ref:
                ref = settings.client_certificate_ref
                reference = Reference(gateway, ref, f"{path}.clientCertificateRef")
                certificate = self.certificates.pair(reference)
                break
        return _Defaults(certificate, parameters)


def merged(own: TlsParameters, defaults: TlsParameters) -> TlsParameters:
    """Own parameters over defaults; versions are taken together, so that they fit."""
    names = {field.name for field in fields(TlsParameters)}
    if own.min_version or own.max_version:
        names -= _VERSIONS
    return replace(
        own, **{name: getattr(defaults, name) for name in names if not getattr(own, name)}
    )
