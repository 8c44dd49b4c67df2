"""BackendTLSPolicy: TLS to a Backend, with its certificate name."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Hostname, Subdomain, Uri
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import LocalObjectReference, TargetRefs


class SubjectAltName(ApiModel):
    """A name that the provider's certificate may have."""

    RULES = (
        Rule(
            "BTP-3",
            "self.type == 'Hostname' ? has(self.hostname) && !has(self.uri) : "
            "has(self.uri) && !has(self.hostname)",
            "SubjectAltName element must contain the field that belongs to Type, and only that one",
        ),
    )

    type: Literal["Hostname", "URI"]
    hostname: Hostname | None = None
    uri: Uri | None = None


class BackendTLSPolicyValidation(ApiModel):
    """How the provider's certificate is checked."""

    RULES = (
        Rule(
            "BTP-1",
            "has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 || "
            "has(self.wellKnownCACertificates) && self.wellKnownCACertificates != ''",
            "must specify either CACertificateRefs or WellKnownCACertificates",
        ),
        Rule(
            "BTP-2",
            "!(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 && "
            "has(self.wellKnownCACertificates) && self.wellKnownCACertificates != '')",
            "must not contain both CACertificateRefs and WellKnownCACertificates",
        ),
    )

    hostname: Subdomain
    """Asked for in the handshake, and in the certificate unless `subjectAltNames` are given."""
    ca_certificate_refs: Annotated[
        list[LocalObjectReference], Field(max_length=8, alias="caCertificateRefs")
    ] = Field(default_factory=list)
    """ConfigMaps or Secrets with `ca.crt`."""
    well_known_ca_certificates: Annotated[
        Literal["System"] | None, Field(alias="wellKnownCACertificates")
    ] = None
    subject_alt_names: Annotated[list[SubjectAltName], Field(max_length=5)] = Field(
        default_factory=list
    )
    """The certificate must have one of them."""


class BackendTLSPolicySpec(ApiModel):
    """Spec of a BackendTLSPolicy."""

    NOT_YET = frozenset({"options"})

    target_refs: TargetRefs
    validation: BackendTLSPolicyValidation


class BackendTLSPolicy(Resource):
    """Turns on TLS for the Backends that it targets."""

    GROUP: ClassVar[str] = "gateway.networking.k8s.io"
    KIND: ClassVar[str] = "BackendTLSPolicy"

    spec: BackendTLSPolicySpec
