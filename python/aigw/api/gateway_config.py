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


Usd = Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,7}(\.[0-9]{1,6})?$")]


class ModelPrice(ApiModel):
    """What a model costs at a backend, in USD; it comes before the price list of the provider.

    Of several that apply, one with backend and model wins, then one with a backend.
    """

    RULES = (
        Rule(
            "GC-2",
            "has(self.backend) || has(self.model)",
            "a price must have a backend or a model",
        ),
        Rule(
            "GC-3",
            "has(self.inputPerMillion) || has(self.outputPerMillion) || has(self.perRequest)",
            "a price must have inputPerMillion, outputPerMillion or perRequest",
        ),
    )

    backend: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=317,
                pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            ),
        ]
        | None
    ) = None
    """AIServiceBackend, as `name` or `namespace/name`; absent means all."""
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Model that the provider is asked for, or reports, or the client asks for; absent means all
    models of the backend."""
    input_per_million: Usd | None = None
    """A million prompt tokens."""
    cached_input_per_million: Usd | None = None
    """A million prompt tokens that are read from a cache; absent means as other prompt tokens."""
    cache_creation_input_per_million: Usd | None = None
    """A million prompt tokens that are written to a cache; absent means as other prompt tokens."""
    output_per_million: Usd | None = None
    """A million generated tokens."""
    reasoning_per_million: Usd | None = None
    """A million reasoning tokens; absent means as other generated tokens."""
    per_request: (
        Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,7}(\.[0-9]{1,12})?$")] | None
    ) = None
    """Each request."""


class GatewayConfigSpec(ApiModel):
    """Spec of a GatewayConfig."""

    ext_proc: GatewayConfigExtProc | None = None
    forward_proxy: GatewayConfigForwardProxy | None = None
    global_llm_request_costs: Annotated[
        Annotated[list[LLMRequestCost], UniqueBy("metadata_key")] | None,
        Field(alias="globalLLMRequestCosts"),
    ] = None
    """Costs of every route of the Gateway; a cost of a route with the same key wins."""
    prices: Annotated[list[ModelPrice], Field(max_length=512)] | None = None
    """Prices of models, before those of the price lists of providers."""


class GatewayConfig(Resource):
    """Settings of the Gateways that name it; many may share one."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "GatewayConfig"
    STATUS: ClassVar[type[ApiModel]] = KeyedStatus

    spec: GatewayConfigSpec
