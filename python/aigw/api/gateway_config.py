"""GatewayConfig: settings of a Gateway, which names it in an annotation."""

from typing import Annotated, ClassVar

from pydantic import Field

from aigw.api.container import KubernetesContainerSpec
from aigw.api.costs import LLMRequestCost
from aigw.api.fields import Text, UniqueBy
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.status import KeyedStatus


class GatewayConfigExtProc(ApiModel):
    """The external processor."""

    CLUSTER_ONLY = frozenset({"kubernetes"})
    RULES = (
        Rule(
            "GC-1",
            "self.all(n, n.matches('^[A-Za-z0-9._/-]+$'))",
            "metadata namespaces may only contain letters, digits, '.', '_', '/' and '-'",
            field="metadataForwardingNamespaces",
        ),
    )

    kubernetes: KubernetesContainerSpec | None = None
    """Container of the external processor in a cluster."""
    metadata_forwarding_namespaces: (
        Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=32)] | None
    ) = None
    """Namespaces of untyped dynamic metadata that reach the external processor."""


class GatewayConfigForwardProxy(ApiModel):
    """An HTTP CONNECT proxy on the way to providers.

    Providers on the same machine, and those in `NO_PROXY` of the environment, are reached
    directly.
    """

    address: Text
    """`host:port`"""


class GatewayConfigSpec(ApiModel):
    """Spec of a GatewayConfig."""

    ext_proc: GatewayConfigExtProc | None = None
    forward_proxy: GatewayConfigForwardProxy | None = None
    global_llm_request_costs: Annotated[
        Annotated[list[LLMRequestCost], UniqueBy("metadata_key")] | None,
        Field(alias="globalLLMRequestCosts"),
    ] = None
    """Costs of every route of the Gateway; a cost of a route with the same key wins."""


class GatewayConfig(Resource):
    """Settings of the Gateways that name it; many may share one."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "GatewayConfig"
    STATUS: ClassVar[type[ApiModel]] = KeyedStatus

    spec: GatewayConfigSpec
