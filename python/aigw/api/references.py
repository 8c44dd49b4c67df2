"""References between resources."""

from typing import Annotated

from pydantic import Field

from aigw.api.fields import Group, Kind, Label, ObjectName, Port, Subdomain
from aigw.api.model import ApiModel, Rule


class ParentReference(ApiModel):
    """A Gateway, or one of its listeners."""

    group: Group = "gateway.networking.k8s.io"
    kind: Kind = "Gateway"
    name: ObjectName
    namespace: Label | None = None
    port: Port | None = None
    section_name: Subdomain | None = None


class BackendObjectReference(ApiModel):
    """Where an AIServiceBackend's traffic goes."""

    RULES = (
        Rule(
            "GW-2",
            "self.group == '' && self.kind == 'Service' ? has(self.port) : true",
            "Must have port for Service reference",
            lambda ref: ref.group != "" or ref.kind != "Service" or ref.port is not None,
        ),
    )

    group: Group = ""
    kind: Kind = "Service"
    name: ObjectName
    namespace: Label | None = None
    port: Port | None = None


class SecretObjectReference(ApiModel):
    """A Secret; a missing namespace means the one of the referring resource."""

    group: Group = ""
    kind: Kind = "Secret"
    name: ObjectName
    namespace: Label | None = None


class LocalPolicyTargetReference(ApiModel):
    """What a policy applies to, in the policy's namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class SectionTargetReference(LocalPolicyTargetReference):
    """A policy target of which a part can be named: a listener, a route rule, a port."""

    section_name: Subdomain | None = None


class ParametersReference(ApiModel):
    """Parameters of a Gateway or a GatewayClass."""

    group: Group
    kind: Kind
    name: ObjectName


class ClassParametersReference(ParametersReference):
    """Parameters of a GatewayClass, which is cluster-scoped."""

    namespace: Label | None = None


TargetRefs = Annotated[list[SectionTargetReference], Field(min_length=1, max_length=16)]
