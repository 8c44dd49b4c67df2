"""BackendTLSPolicy: TLS to a Backend, with its certificate name."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Subdomain
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import TargetRefs


class BackendTLSPolicyValidation(ApiModel):
    """How the provider's certificate is checked."""

    NOT_YET = frozenset({"caCertificateRefs", "subjectAltNames"})
    RULES = (
        Rule(
            "BTP-1",
            "has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 || "
            "has(self.wellKnownCACertificates) && self.wellKnownCACertificates != ''",
            "must specify either CACertificateRefs or WellKnownCACertificates",
        ),
    )

    hostname: Subdomain
    well_known_ca_certificates: Annotated[
        Literal["System"] | None, Field(alias="wellKnownCACertificates")
    ] = None


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
