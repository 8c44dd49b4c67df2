"""Backend: the addresses of an upstream."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Boolean, Hostname, Port, Subdomain
from aigw.api.model import ApiModel, Resource, Rule


class FQDNEndpoint(ApiModel):
    """A DNS name."""

    hostname: Subdomain
    port: Port


class IPEndpoint(ApiModel):
    """An IP address."""

    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F:.]{2,45}$")]
    port: Port


class BackendEndpoint(ApiModel):
    """One server."""

    NOT_YET = frozenset({"unix", "zone"})
    RULES = (
        Rule(
            "BE-1",
            "has(self.fqdn) || has(self.ip) || has(self.unix)",
            "one of fqdn, ip or unix must be specified",
        ),
        Rule(
            "BE-2",
            "((has(self.fqdn) ? 1 : 0) + (has(self.ip) ? 1 : 0) + (has(self.unix) ? 1 : 0)) <= 1",
            "only one of fqdn, ip or unix can be specified",
        ),
    )

    hostname: Hostname | None = None
    fqdn: FQDNEndpoint | None = None
    ip: IPEndpoint | None = None


class BackendTLSSettings(ApiModel):
    """TLS to all endpoints of the backend."""

    NOT_YET = frozenset(
        {
            "alpnProtocols",
            "caCertificateRefs",
            "ciphers",
            "clientCertificateRef",
            "ecdhCurves",
            "maxVersion",
            "minVersion",
            "signatureAlgorithms",
        }
    )

    well_known_ca_certificates: Annotated[
        Literal["System"] | None, Field(alias="wellKnownCACertificates")
    ] = None
    sni: Hostname | None = None
    insecure_skip_verify: Boolean = False


class BackendSpec(ApiModel):
    """Spec of a Backend."""

    NOT_YET = frozenset({"appProtocols", "fallback"})
    RULES = (
        Rule(
            "BE-3",
            "self.all(e, has(e.fqdn)) || !self.exists(e, has(e.fqdn))",
            "fqdn addresses cannot be mixed with other address types",
            field="endpoints",
        ),
    )

    type: Literal["Endpoints"] = "Endpoints"
    endpoints: Annotated[list[BackendEndpoint], Field(min_length=1, max_length=256)]
    tls: BackendTLSSettings | None = None


class Backend(Resource):
    """Addresses of a provider."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "Backend"

    spec: BackendSpec
