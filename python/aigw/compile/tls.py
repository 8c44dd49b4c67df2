"""TLS to Backends: their own settings and their BackendTLSPolicies.

The policy decides on the name and on who is trusted, the Backend on everything else. What cannot
be as it is written takes the Backend out: neither plain text nor a connection that is checked in
another way is an alternative.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aigw.api import backend_tls_policy as api
from aigw.api.backend import Backend, BackendTLSSettings
from aigw.api.backend_tls_policy import BackendTLSPolicy
from aigw.api.model import Resource
from aigw.api.tls_settings import BackendTLSConfig
from aigw.compile.certificates import Certificates
from aigw.compile.grants import Reference
from aigw.compile.hosts import is_address
from aigw.compile.index import Index
from aigw.compile.report import Finding, Report
from aigw.compile.tls_algorithms import CIPHERS, CURVES, RSA_SHA1, SIGNATURES
from aigw.errors import Code
from aigw.plan import SanType, SubjectAltName, Tls, TlsParameters, Verification

_KIND = (BackendTLSPolicy.GROUP, BackendTLSPolicy.KIND)


@dataclass(frozen=True, slots=True)
class Unusable:
    """The Backend must not be served; the reason was reported."""


@dataclass(frozen=True, slots=True)
class _Trust:
    """Who is trusted, and for which names."""

    verification: Verification
    authorities: str = ""
    names: tuple[SubjectAltName, ...] = ()


class BackendTls:
    """TLS of Backends."""

    def __init__(self, index: Index, report: Report, certificates: Certificates) -> None:
        """Reads all policies."""
        self._index = index
        self._report = report
        self._certificates = certificates
        self._policies = index.all(BackendTLSPolicy)

    def of(self, backend: Backend, hostnames: Sequence[str]) -> Tls | Unusable | None:
        """TLS to a Backend whose endpoints have these names; None: plain text is asked for."""
        if self._index.rejected_policies(_KIND, backend.id):
            message = "a BackendTLSPolicy for it has errors, and plain text is not an alternative"
            self._report.error(backend.id, Code.LEFT_OUT, "", message)
            return Unusable()
        if self._has_port_policy(backend):
            return Unusable()
        policy = self._policy(backend)
        if policy is None and backend.spec.tls is None:
            return None
        settings = backend.spec.tls or BackendTLSSettings()
        trust = self._trust(backend, settings, policy)
        certificate, parameters = client_settings(
            backend, settings, "spec.tls", self._certificates, self._report
        )
        if trust is None or certificate is None or parameters is None:
            return Unusable()
        name = policy.spec.validation.hostname if policy else settings.sni or _name(hostnames)
        return Tls(
            name, trust.verification, trust.authorities, certificate, trust.names, parameters
        )

    def _has_port_policy(self, backend: Backend) -> bool:
        """Whether TLS is asked for on single ports: for all or none of them would be wrong."""
        for policy in self._policies:
            for position, ref in enumerate(policy.spec.target_refs):
                if ref.section_name and _targets(policy, backend):
                    message = "settings of single ports are not supported yet"
                    path = f"spec.targetRefs[{position}].sectionName"
                    self._report.error(policy.id, Code.UNSUPPORTED, path, message)
                    self._leave_out(backend, policy)
                    return True
        return False

    def _policy(self, backend: Backend) -> BackendTLSPolicy | None:
        """The oldest; the others are named."""
        policies = [policy for policy in self._policies if _targets(policy, backend)]
        for extra in policies[1:]:
            message = f"{policies[0].id} already applies to {backend.id}"
            self._report.warning(extra.id, Code.CONFLICT, "spec.targetRefs", message)
        return policies[0] if policies else None

    def _trust(
        self, backend: Backend, settings: BackendTLSSettings, policy: BackendTLSPolicy | None
    ) -> _Trust | None:
        if policy is None:
            if settings.insecure_skip_verify:
                return _Trust(Verification.NONE)
            if not settings.ca_certificate_refs:
                return _Trust(Verification.SYSTEM)
            refs, path = settings.ca_certificate_refs, "spec.tls.caCertificateRefs"
            key = self._certificates.bundle(backend, refs, path)
            return _Trust(Verification.OWN, key) if key else None
        validation = policy.spec.validation
        names = tuple(_subject_alt_name(item) for item in validation.subject_alt_names)
        if not validation.ca_certificate_refs:
            return _Trust(Verification.SYSTEM, "", names)
        refs, path = validation.ca_certificate_refs, "spec.validation.caCertificateRefs"
        key = self._certificates.bundle(policy, refs, path)
        if key is None:
            self._leave_out(backend, policy)
            return None
        return _Trust(Verification.OWN, key, names)

    def _leave_out(self, backend: Backend, policy: BackendTLSPolicy) -> None:
        message = f"is left out, because {policy.id} cannot be applied as it is written"
        self._report.error(backend.id, Code.LEFT_OUT, "", message)


def client_settings(
    owner: Resource,
    written: BackendTLSConfig,
    path: str,
    certificates: Certificates,
    report: Report,
) -> tuple[str | None, TlsParameters | None]:
    """The key of the client certificate, or empty, and parameters; each None after a report."""
    faults = list(_faults(written, path))
    report.faults(owner.id, faults)
    key: str | None = ""
    if ref := written.client_certificate_ref:
        key = certificates.pair(Reference(owner, ref, f"{path}.clientCertificateRef"))
    return key, None if faults else _parameters(written)


def _parameters(written: BackendTLSConfig) -> TlsParameters:
    return TlsParameters(
        min_version=(written.min_version or "").removeprefix("Auto"),
        max_version=(written.max_version or "").removeprefix("Auto"),
        ciphers=tuple(written.ciphers),
        curves=tuple(written.ecdh_curves),
        signature_algorithms=tuple(written.signature_algorithms),
        alpn=tuple(written.alpn_protocols),
    )


def _faults(written: BackendTLSConfig, path: str) -> Iterator[Finding]:
    """Names that Envoy does not know: one of them would stop the whole configuration."""
    fields = (
        ("ciphers", written.ciphers, CIPHERS),
        ("ecdhCurves", written.ecdh_curves, CURVES),
        ("signatureAlgorithms", written.signature_algorithms, SIGNATURES | {RSA_SHA1}),
    )
    for field, values, known in fields:
        for position, value in enumerate(values):
            # Ciphers of equal preference stand in one item: [A|B].
            choices = value.strip("[]").split("|") if field == "ciphers" else [value]
            if not set(choices) <= known:
                yield f"{path}.{field}[{position}]", f"must be one of {', '.join(sorted(known))}"


def _subject_alt_name(written: api.SubjectAltName) -> SubjectAltName:
    if written.type == "URI":
        return SubjectAltName(SanType.URI, written.uri or "")
    return SubjectAltName(SanType.DNS, written.hostname or "")


def _name(hostnames: Sequence[str]) -> str:
    """The name of all, or empty: to each its own. Addresses cannot be asked for."""
    is_each_its_own = len(set(hostnames)) > 1 and not any(is_address(name) for name in hostnames)
    return "" if is_each_its_own else hostnames[0].strip("[]")


def _targets(policy: BackendTLSPolicy, backend: Backend) -> bool:
    return policy.namespace == backend.namespace and any(
        (ref.group, ref.kind, ref.name) == (backend.GROUP, backend.KIND, backend.metadata.name)
        for ref in policy.spec.target_refs
    )
