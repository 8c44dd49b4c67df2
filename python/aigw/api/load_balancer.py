"""Load balancing over a server's endpoints. Shapes of Envoy Gateway's LoadBalancer."""

from typing import Annotated, Any, Literal

from pydantic import Field

from aigw.api.fields import (
    Boolean,
    Count,
    CrdSchema,
    Duration,
    Int32,
    Int64,
    Integer,
    ObjectName,
    Percent,
    UniqueBy,
)
from aigw.api.model import ApiModel, Rule

_INT64 = CrdSchema({"format": "int64"})
AnyValue = Annotated[Any, CrdSchema({"x-kubernetes-preserve-unknown-fields": True})]


class BackendUtilization(ApiModel):
    """By the load that the servers report."""

    blackout_period: Duration | None = None
    error_utilization_penalty_percent: Count | None = None
    keep_response_headers: Boolean = False
    metric_names_for_computing_utilization: list[str] | None = None
    weight_expiration_period: Duration | None = None
    weight_update_period: Duration | None = None


class Cookie(ApiModel):
    """A cookie that holds the endpoint."""

    attributes: dict[str, str] | None = None
    name: str
    ttl: Duration | None = None


class Named(ApiModel):
    """A header or a query parameter."""

    name: str


def _field_of(number: int, type_name: str, field: str) -> Rule:
    return Rule(
        f"EG-{number}",
        f"(self.type == '{type_name}') == has(self.{field})",
        f"If consistent hash type is {field}, the {field} field must be set.",
    )


class ConsistentHash(ApiModel):
    """By a hash of something in the request."""

    RULES = (
        _field_of(44, "Header", "header"),
        _field_of(45, "Headers", "headers"),
        _field_of(46, "Cookie", "cookie"),
        _field_of(47, "QueryParams", "queryParams"),
    )

    cookie: Cookie | None = None
    header: Named | None = None
    headers: list[Named] | None = None
    query_params: list[Named] | None = None
    table_size: Annotated[Integer, Field(ge=2, le=5_000_011), _INT64] = 65537
    type: Literal["SourceIP", "Header", "Headers", "Cookie", "QueryParams"]


class DynamicModuleLB(ApiModel):
    """By a dynamic module."""

    config: AnyValue | None = None
    lb_policy_name: ObjectName
    name: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"),
    ]


class EndpointOverrideExtractFrom(ApiModel):
    """Where the endpoint is named."""

    header: str | None = None


class EndpointOverride(ApiModel):
    """The request may name the endpoint."""

    extract_from: Annotated[list[EndpointOverrideExtractFrom], Field(min_length=1, max_length=10)]


class SlowStart(ApiModel):
    """New endpoints get less at first."""

    window: Duration


class ForceLocalZone(ApiModel):
    """Only the own zone, if it has enough endpoints."""

    min_endpoints_in_zone_threshold: Int32 | None = None


class PreferLocalZone(ApiModel):
    """The own zone first."""

    force: ForceLocalZone | None = None
    min_endpoints_threshold: Int64 | None = None
    percentage_enabled: Percent | None = None


class WeightedZone(ApiModel):
    """Share of a zone."""

    weight: Int32
    zone: str


class ZoneAware(ApiModel):
    """By zones."""

    prefer_local: PreferLocalZone | None = None
    weighted_zones: Annotated[list[WeightedZone], UniqueBy("zone")] | None = None


class LoadBalancer(ApiModel):
    """Which endpoint gets a request."""

    RULES = (
        Rule(
            "EG-35",
            "(self.type == 'ConsistentHash') == has(self.consistentHash)",
            "If LoadBalancer type is consistentHash, consistentHash field needs to be set.",
        ),
        Rule(
            "EG-36",
            "(self.type == 'BackendUtilization') == has(self.backendUtilization)",
            "If LoadBalancer type is BackendUtilization, backendUtilization field needs to be set.",
        ),
        Rule(
            "EG-37",
            "(self.type == 'DynamicModule') == has(self.dynamicModule)",
            "If LoadBalancer type is DynamicModule, dynamicModule field needs to be set.",
        ),
        Rule(
            "EG-38",
            "!has(self.slowStart) || !(self.type in ['Random', 'ConsistentHash', 'DynamicModule'])",
            "Currently SlowStart is only supported for RoundRobin, LeastRequest, and "
            "BackendUtilization load balancers.",
        ),
        Rule(
            "EG-39",
            "self.type != 'ConsistentHash' || !has(self.zoneAware) || "
            "!has(self.zoneAware.preferLocal)",
            "PreferLocal zone-aware routing is not supported for ConsistentHash load balancers. "
            "Use weightedZones instead.",
        ),
        Rule(
            "EG-40",
            "self.type != 'BackendUtilization' || !has(self.zoneAware) || "
            "!has(self.zoneAware.preferLocal)",
            "PreferLocal zone-aware routing is not currently supported for BackendUtilization "
            "load balancers. Only WeightedZones can be used with BackendUtilization.",
        ),
        Rule(
            "EG-41",
            "self.type != 'DynamicModule' || !has(self.zoneAware)",
            "ZoneAware routing is not supported for DynamicModule load balancers.",
        ),
        Rule(
            "EG-42",
            "!has(self.zoneAware) || "
            "!(has(self.zoneAware.preferLocal) && has(self.zoneAware.weightedZones))",
            "ZoneAware PreferLocal and WeightedZones cannot be specified together.",
        ),
        Rule(
            "EG-43",
            "self.type != 'DynamicModule' || !has(self.endpointOverride)",
            "EndpointOverride is not supported for DynamicModule load balancers.",
        ),
    )

    backend_utilization: BackendUtilization | None = None
    consistent_hash: ConsistentHash | None = None
    dynamic_module: DynamicModuleLB | None = None
    endpoint_override: EndpointOverride | None = None
    slow_start: SlowStart | None = None
    type: Literal[
        "ConsistentHash",
        "LeastRequest",
        "Random",
        "RoundRobin",
        "BackendUtilization",
        "DynamicModule",
    ]
    zone_aware: ZoneAware | None = None
