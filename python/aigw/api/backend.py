"""Backend: the addresses of an upstream."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Boolean, Port, Subdomain
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import LocalObjectReference
from aigw.api.tls_settings import BackendTLSConfig


class FQDNEndpoint(ApiModel):
    """A DNS name."""

    hostname: Subdomain
    port: Port


class IPEndpoint(ApiModel):
    """An IP address."""

    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F:.]{2,45}$")]
    port: Port


class UnixSocket(ApiModel):
    """A socket in the file system."""

    path: Annotated[str, Field(min_length=1, max_length=108)]


class BackendEndpoint(ApiModel):
    """One server."""

    NOT_YET = frozenset({"zone"})
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

    hostname: Subdomain | None = None
    fqdn: FQDNEndpoint | None = None
    ip: IPEndpoint | None = None
    unix: UnixSocket | None = None


class BackendTLSSettings(BackendTLSConfig):
    """TLS to all endpoints of the backend."""

    RULES = (
        *BackendTLSConfig.RULES,
        Rule(
            "BE-4",
            "!(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 && "
            "has(self.wellKnownCACertificates))",
            "must not contain both CACertificateRefs and WellKnownCACertificates",
        ),
        Rule(
            "BE-5",
            "!(has(self.insecureSkipVerify) && self.insecureSkipVerify && "
            "(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 || "
            "has(self.wellKnownCACertificates)))",
            "must not contain either CACertificateRefs or WellKnownCACertificates when "
            "InsecureSkipVerify is enabled",
        ),
    )

    ca_certificate_refs: Annotated[
        list[LocalObjectReference], Field(max_length=8, alias="caCertificateRefs")
    ] = Field(default_factory=list)
    """ConfigMaps or Secrets with `ca.crt`."""
    well_known_ca_certificates: Annotated[
        Literal["System"] | None, Field(alias="wellKnownCACertificates")
    ] = None
    sni: Subdomain | None = None
    insecure_skip_verify: Boolean = False


class BackendSpec(ApiModel):
    """Spec of a Backend."""

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
    fallback: Boolean = False
    """Used only after the others of its priority."""
    app_protocols: list[
        Literal[
            "gateway.envoyproxy.io/h2c", "gateway.envoyproxy.io/ws", "gateway.envoyproxy.io/wss"
        ]
    ] = Field(default_factory=list)
    tls: BackendTLSSettings | None = None


class Backend(Resource):
    """Addresses of a provider."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "Backend"

    spec: BackendSpec
