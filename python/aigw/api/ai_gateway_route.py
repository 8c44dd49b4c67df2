"""AIGatewayRoute: which models and headers go to which backends."""

from typing import Annotated, ClassVar

from pydantic import Field

from aigw.api.costs import LLMRequestCost
from aigw.api.fields import (
    Boolean,
    Count,
    DateTime,
    Duration,
    Group,
    Hostname,
    Kind0,
    Label,
    Subdomain,
    Text,
    UniqueBy,
)
from aigw.api.header_match import HTTPHeaderMatch
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.mutations import HTTPBodyMutation, HTTPHeaderMutation
from aigw.api.references import ParentReference

POOL_GROUP = "inference.networking.k8s.io"
OWN_GROUP = "aigateway.envoyproxy.io"


class AIGatewayRouteRuleMatch(ApiModel):
    """Header conditions that must all hold."""

    headers: Annotated[list[HTTPHeaderMatch], Field(max_length=16), UniqueBy("name")] = Field(
        default_factory=list
    )


class HTTPRouteTimeouts(ApiModel):
    """Deadlines of a rule."""

    RULES = (
        Rule(
            "GW-1",
            "!(has(self.request) && has(self.backendRequest) && "
            "duration(self.request) != duration('0s') && "
            "duration(self.backendRequest) > duration(self.request))",
            "backendRequest timeout cannot be longer than request timeout",
        ),
    )

    request: Duration | None = None
    """From the request to the last byte of the answer; `0s`: no limit."""
    backend_request: Duration | None = None
    """One attempt."""


class AIGatewayRouteRuleBackendRef(ApiModel):
    """One backend of a rule: an AIServiceBackend, or an InferencePool named in full."""

    RULES = (
        Rule(
            "AGR-6",
            "(has(self.group) && self.group != '') == (has(self.kind) && self.kind != '')",
            "group and kind must be specified together",
        ),
        Rule(
            "AGR-7",
            "!has(self.group) || self.group == '' || (has(self.kind) && "
            "((self.group == 'inference.networking.k8s.io' && self.kind == 'InferencePool') || "
            "(self.group == 'aigateway.envoyproxy.io' && self.kind == 'AIServiceBackend')))",
            "only InferencePool from inference.networking.k8s.io group is supported",
        ),
    )

    name: Text
    namespace: Label | None = None
    """Absent: the namespace of the route. Another one needs a ReferenceGrant."""
    group: Group | None = None
    kind: Kind0 | None = None
    model_name_override: str | None = None
    """Model that the backend is asked for."""
    priority: Count = 0
    """Backends with a higher number are used when those with a lower one fail."""
    weight: Count = 1
    """Share among backends of one priority; 0 takes the backend out."""
    header_mutation: HTTPHeaderMutation | None = None
    """After that of the backend; wins over it."""
    body_mutation: HTTPBodyMutation | None = None
    """After that of the backend; wins over it."""

    @property
    def is_pool(self) -> bool:
        """True for a reference to an InferencePool."""
        return (self.group, self.kind) == (POOL_GROUP, "InferencePool")


class AIGatewayRouteRule(ApiModel):
    """Matches and the backends that serve them."""

    RULES = (
        Rule(
            "AGR-3",
            "!(has(self.name) && self.name == 'route-not-found')",
            "rule name route-not-found is reserved",
        ),
        Rule(
            "AGR-4",
            "!has(self.backendRefs) || "
            "self.backendRefs.all(b, !(has(b.kind) && b.kind == 'InferencePool')) || "
            "self.backendRefs.all(b, has(b.kind) && b.kind == 'InferencePool')",
            "cannot mix InferencePool and AIServiceBackend references in the same rule",
        ),
        Rule(
            "AGR-5",
            "!has(self.backendRefs) || "
            "!self.backendRefs.exists(b, has(b.kind) && b.kind == 'InferencePool') || "
            "self.backendRefs.size() == 1",
            "only one InferencePool backend is allowed per rule",
        ),
    )

    name: Subdomain | None = None
    matches: Annotated[list[AIGatewayRouteRuleMatch], Field(max_length=128)] = Field(
        default_factory=list
    )
    """The rule serves requests for which one of these holds; none: every request."""
    backend_refs: Annotated[list[AIGatewayRouteRuleBackendRef], Field(max_length=128)] = Field(
        default_factory=list
    )
    timeouts: HTTPRouteTimeouts | None = None
    stream_idle_timeout: Duration | None = None
    """Longest time without a byte of the backend."""
    exclude_from_models_endpoint: Boolean | None = None
    """Serves its models without listing them."""
    models_owned_by: str = "Envoy AI Gateway"
    """Owner of its models in lists of models."""
    models_created_at: DateTime | None = None
    """Date of its models in lists of models; absent: that of the route."""


class AIGatewayRouteSpec(ApiModel):
    """Spec of an AIGatewayRoute."""

    IGNORED = frozenset({"filterConfig", "schema", "targetRefs"})
    RULES = (
        Rule(
            "AGR-1",
            "self.all(p, p.kind == 'Gateway')",
            "only Gateway is supported",
            field="parentRefs",
        ),
        Rule(
            "AGR-2",
            "self.all(a, has(a.name) ? self.exists_one(b, has(b.name) && b.name == a.name) : true)",
            "rule name must be unique within the route",
            field="rules",
        ),
    )

    parent_refs: Annotated[list[ParentReference], Field(max_length=16)] = Field(
        default_factory=list
    )
    """Gateways that serve the route."""
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(default_factory=list)
    rules: Annotated[list[AIGatewayRouteRule], Field(max_length=15)]
    llm_request_costs: Annotated[
        list[LLMRequestCost], Field(max_length=36, alias="llmRequestCosts")
    ] = Field(default_factory=list)
    """Counts of each response; they win over those of the GatewayConfig."""


class AIGatewayRoute(Resource):
    """Binds Gateways to backends by request headers, normally the model."""

    GROUP: ClassVar[str] = OWN_GROUP
    KIND: ClassVar[str] = "AIGatewayRoute"

    spec: AIGatewayRouteSpec
