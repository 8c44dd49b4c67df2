"""Gateway: the ports on which clients are served."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Hostname, Port, Subdomain, UniqueBy
from aigw.api.labels import LabelSelector
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import ParametersReference, SecretObjectReference


class RouteNamespaces(ApiModel):
    """From which namespaces routes may attach."""

    from_: Annotated[Literal["All", "Selector", "Same", "None"], Field(alias="from")] = "Same"
    selector: LabelSelector | None = None
    """Labels of namespaces, for `Selector`."""


class RouteGroupKind(ApiModel):
    """A kind of route that may attach."""

    group: str = "gateway.networking.k8s.io"
    kind: str


class AllowedRoutes(ApiModel):
    """Which routes may attach to a listener; without kinds, all of its protocol."""

    namespaces: RouteNamespaces = Field(default_factory=RouteNamespaces)
    kinds: Annotated[list[RouteGroupKind], Field(max_length=8)] = Field(default_factory=list)


class ListenerTLS(ApiModel):
    """TLS of clients."""

    NOT_YET = frozenset({"options"})

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Annotated[list[SecretObjectReference], Field(max_length=64)] = Field(
        default_factory=list
    )
    """Secrets with `tls.crt` and `tls.key`."""


class Listener(ApiModel):
    """One port, HTTP or HTTPS."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "GW-4",
            "self.protocol == 'HTTPS' && has(self.tls) && self.tls.mode == 'Terminate' "
            "? size(self.tls.certificateRefs) > 0 : true",
            "certificateRefs must be specified when mode is Terminate",
        ),
        Rule(
            "GW-5",
            "self.protocol == 'HTTP' ? !has(self.tls) : true",
            "tls must not be specified for protocols ['HTTP']",
        ),
    )

    name: Subdomain
    port: Port
    protocol: Annotated[str, Field(min_length=1, max_length=255)]
    hostname: Hostname | None = None
    tls: ListenerTLS | None = None
    allowed_routes: AllowedRoutes = Field(default_factory=AllowedRoutes)


class Infrastructure(ApiModel):
    """Parameters of the proxy."""

    CLUSTER_ONLY = frozenset({"annotations", "labels"})

    parameters_ref: ParametersReference | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class GatewayBackendTLS(ApiModel):
    """TLS to providers."""

    client_certificate_ref: SecretObjectReference | None = None
    """A Secret with `tls.crt` and `tls.key`."""


class GatewayTLS(ApiModel):
    """TLS of the Gateway as a whole."""

    NOT_YET = frozenset({"frontend"})

    backend: GatewayBackendTLS | None = None


class GatewaySpec(ApiModel):
    """Spec of a Gateway; `backendTLS` is the older place of `tls.backend`."""

    NOT_YET = frozenset({"addresses", "allowedListeners"})
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "GW-3",
            "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && "
            "(has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : "
            "!has(l1.hostname) && !has(l2.hostname))))",
            "Combination of port, protocol and hostname must be unique for each listener",
            field="listeners",
        ),
    )

    gateway_class_name: Annotated[str, Field(min_length=1, max_length=253)]
    listeners: Annotated[list[Listener], Field(max_length=64), UniqueBy("name")]
    infrastructure: Infrastructure | None = None
    tls: GatewayTLS | None = None
    backend_tls: Annotated[GatewayBackendTLS | None, Field(alias="backendTLS")] = None


class Gateway(Resource):
    """The entrance for clients."""

    GROUP: ClassVar[str] = "gateway.networking.k8s.io"
    KIND: ClassVar[str] = "Gateway"

    spec: GatewaySpec
