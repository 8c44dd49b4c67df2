"""AIGatewayRoute: which models and headers go to which backends."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from aigw.api.fields import (
    Count,
    Duration,
    Group,
    HeaderName,
    Hostname,
    Kind0,
    Label,
    Subdomain,
    UniqueBy,
    duration_ms,
)
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.mutations import HTTPBodyMutation, HTTPHeaderMutation
from aigw.api.references import ParentReference

POOL_GROUP = "inference.networking.k8s.io"
OWN_GROUP = "aigateway.envoyproxy.io"
RESERVED_RULE = "route-not-found"


def _date_time(text: str) -> str:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        message = "must be an RFC 3339 date-time with a time zone"
        raise ValueError(message)
    return text


class HTTPHeaderMatch(ApiModel):
    """One header condition."""

    name: HeaderName
    type: Literal["Exact", "RegularExpression"] = "Exact"
    value: Annotated[str, Field(min_length=1, max_length=4096)]


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
            lambda timeouts: (
                not (
                    timeouts.request
                    and timeouts.backend_request
                    and duration_ms(timeouts.backend_request) > duration_ms(timeouts.request) > 0
                )
            ),
        ),
    )

    request: Duration | None = None
    backend_request: Duration | None = None


class AIGatewayRouteRuleBackendRef(ApiModel):
    """One backend of a rule."""

    RULES = (
        Rule(
            "AGR-6",
            "has(self.group) == has(self.kind)",
            "group and kind must be specified together",
            lambda ref: (ref.group is None) == (ref.kind is None),
        ),
        Rule(
            "AGR-7",
            "!has(self.group) || (has(self.kind) && "
            "((self.group == 'inference.networking.k8s.io' && self.kind == 'InferencePool') || "
            "(self.group == 'aigateway.envoyproxy.io' && self.kind == 'AIServiceBackend')))",
            "only InferencePool from inference.networking.k8s.io group is supported",
            lambda ref: ref.group is None or ref.is_pool or ref.is_service_backend,
        ),
    )

    name: Annotated[str, Field(min_length=1)]
    namespace: Label | None = None
    group: Group | None = None
    kind: Kind0 | None = None
    model_name_override: str = ""
    priority: Count = 0
    weight: Count = 1
    header_mutation: HTTPHeaderMutation | None = None
    body_mutation: HTTPBodyMutation | None = None

    @property
    def is_pool(self) -> bool:
        """True for a reference to an InferencePool."""
        return (self.group, self.kind) == (POOL_GROUP, "InferencePool")

    @property
    def is_service_backend(self) -> bool:
        """True for a reference to an AIServiceBackend, named in full or by default."""
        return (self.group, self.kind) in ((None, None), (OWN_GROUP, "AIServiceBackend"))


def _is_unmixed(rule: "AIGatewayRouteRule") -> bool:
    return len({ref.is_service_backend for ref in rule.backend_refs}) <= 1


def _has_one_pool(rule: "AIGatewayRouteRule") -> bool:
    return len(rule.backend_refs) <= 1 or not any(ref.is_pool for ref in rule.backend_refs)


class AIGatewayRouteRule(ApiModel):
    """Matches and the backends that serve them."""

    RULES = (
        Rule(
            "AGR-3",
            "!(has(self.name) && self.name == 'route-not-found')",
            "rule name route-not-found is reserved",
            lambda rule: rule.name != RESERVED_RULE,
        ),
        Rule(
            "AGR-4",
            "!has(self.backendRefs) || "
            "self.backendRefs.all(b, !has(b.kind) || b.kind == 'AIServiceBackend') || "
            "self.backendRefs.all(b, has(b.kind) && b.kind == 'InferencePool')",
            "cannot mix InferencePool and AIServiceBackend references in the same rule",
            _is_unmixed,
        ),
        Rule(
            "AGR-5",
            "!has(self.backendRefs) || "
            "!self.backendRefs.exists(b, has(b.kind) && b.kind == 'InferencePool') || "
            "self.backendRefs.size() == 1",
            "only one InferencePool backend is allowed per rule",
            _has_one_pool,
        ),
    )

    name: Subdomain | None = None
    matches: Annotated[list[AIGatewayRouteRuleMatch], Field(max_length=128)] = Field(
        default_factory=list
    )
    backend_refs: Annotated[list[AIGatewayRouteRuleBackendRef], Field(max_length=128)] = Field(
        default_factory=list
    )
    timeouts: HTTPRouteTimeouts | None = None
    stream_idle_timeout: Duration | None = None
    models_owned_by: str = "Envoy AI Gateway"
    models_created_at: Annotated[str, AfterValidator(_date_time)] | None = None


class LLMRequestCost(ApiModel):
    """A count written as metadata when a response is complete."""

    metadata_key: str
    type: Literal[
        "OutputToken",
        "InputToken",
        "CachedInputToken",
        "CacheCreationInputToken",
        "TotalToken",
        "ReasoningToken",
        "CEL",
    ]
    cel: str | None = None


def _names_are_unique(rules: list[AIGatewayRouteRule]) -> bool:
    names = [rule.name for rule in rules if rule.name is not None]
    return len(names) == len(set(names))


class AIGatewayRouteSpec(ApiModel):
    """Spec of an AIGatewayRoute."""

    IGNORED = frozenset({"filterConfig", "schema", "targetRefs"})
    RULES = (
        Rule(
            "AGR-1",
            "self.all(p, p.kind == 'Gateway')",
            "only Gateway is supported",
            lambda refs: all(ref.kind == "Gateway" for ref in refs),
            field="parentRefs",
        ),
        Rule(
            "AGR-2",
            "self.all(a, has(a.name) ? self.exists_one(b, has(b.name) && b.name == a.name) : true)",
            "rule name must be unique within the route",
            _names_are_unique,
            field="rules",
        ),
    )

    parent_refs: Annotated[list[ParentReference], Field(max_length=16)] = Field(
        default_factory=list
    )
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(default_factory=list)
    rules: Annotated[list[AIGatewayRouteRule], Field(max_length=15)]
    llm_request_costs: Annotated[
        list[LLMRequestCost], Field(max_length=36, alias="llmRequestCosts")
    ] = Field(default_factory=list)


class AIGatewayRoute(Resource):
    """Binds Gateways to backends by request headers, normally the model."""

    GROUP: ClassVar[str] = OWN_GROUP
    KIND: ClassVar[str] = "AIGatewayRoute"

    spec: AIGatewayRouteSpec
