"""References between resources."""

from typing import Annotated

from pydantic import Field

from aigw.api.fields import Boolean, Count, Group, Kind, Label, ObjectName, Port, Subdomain
from aigw.api.model import ApiModel, Rule


class ParentReference(ApiModel):
    """A Gateway, or one of its listeners."""

    group: Group = "gateway.networking.k8s.io"
    kind: Kind = "Gateway"
    name: ObjectName
    namespace: Label | None = None
    """Absent: the namespace of the route."""
    port: Port | None = None
    section_name: Subdomain | None = None
    """Name of a listener."""


class BackendObjectReference(ApiModel):
    """Where traffic goes: a Backend, or a Service with its port."""

    RULES = (
        Rule(
            "GW-2",
            "self.group == '' && self.kind == 'Service' ? has(self.port) : true",
            "Must have port for Service reference",
        ),
    )

    group: Group = ""
    kind: Kind = "Service"
    name: ObjectName
    namespace: Label | None = None
    """Absent: the namespace of the referring object."""
    port: Port | None = None


class WeightedBackendReference(BackendObjectReference):
    """One of several backends."""

    fallback: Boolean | None = None
    """Used only when the others are unhealthy."""
    weight: Annotated[Count, Field(le=1_000_000)] = 1


class SecretObjectReference(ApiModel):
    """A Secret; a missing namespace means the one of the referring resource."""

    group: Group = ""
    kind: Kind = "Secret"
    name: ObjectName
    namespace: Label | None = None


class LocalObjectReference(ApiModel):
    """An object in the same namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class LocalPolicyTargetReference(LocalObjectReference):
    """What a policy applies to, in the policy's namespace."""


class SectionTargetReference(LocalPolicyTargetReference):
    """A policy target of which a part can be named: a listener, a route rule, a port."""

    section_name: Subdomain | None = None


class ParametersReference(LocalObjectReference):
    """Parameters of a Gateway or a GatewayClass."""


class ClassParametersReference(ParametersReference):
    """Parameters of a GatewayClass, which is cluster-scoped."""

    namespace: Label | None = None


TargetRefs = Annotated[list[SectionTargetReference], Field(min_length=1, max_length=16)]
