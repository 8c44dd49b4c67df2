"""BackendTrafficPolicies: which one applies to a rule, and what it says about connections.

The most specific policy applies: that of the rule, of the route, of the Gateway. With a
`mergeType` it adds to the policy of the Gateway.
"""

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aigw.api.ai_gateway_route import AIGatewayRoute, AIGatewayRouteRule
from aigw.api.backend_traffic_policy import BackendTrafficPolicy, BackendTrafficPolicySpec
from aigw.api.gateway import Gateway
from aigw.api.retry import Retry
from aigw.compile.index import Index
from aigw.compile.policy_targets import Applied, Target, targets_of
from aigw.compile.report import Once, Report
from aigw.compile.traffic.fields import Fields
from aigw.compile.traffic.load_balancer import balancer
from aigw.errors import Code, ResourceId
from aigw.plan.traffic import (
    ActiveCheck,
    CircuitBreaker,
    Dns,
    Ejection,
    HttpCheck,
    LookupFamily,
    TcpCheck,
    Traffic,
)

if TYPE_CHECKING:
    from aigw.api import cluster_settings, health_check
    from aigw.api.http_route import HTTPRoute

_TARGET_FIELDS = {"target_ref", "target_refs", "target_selectors", "merge_type"}
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH")


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """What a policy says about a rule; `None` where it says nothing."""

    retry: Retry | None = None
    stream_idle_ms: int | None = None
    stream_ms: int | None = None
    traffic: Traffic = field(default_factory=Traffic)


class BackendPolicies:
    """BackendTrafficPolicies by what they target; findings are reported once."""

    def __init__(self, index: Index, report: Report) -> None:
        """Reads all policies."""
        self._report = report
        self.applied: Applied[BackendTrafficPolicy] = Applied(report)
        self._once: Once[BackendSettings] = Once(report)
        self._own: dict[ResourceId, BackendSettings] = {}
        for policy in index.all(BackendTrafficPolicy):
            self._own[policy.id] = _settings(policy.spec, Fields(policy.id, report))
            for target in targets_of(policy.spec, policy.namespace, index):
                if self._accepts(policy, target):
                    self.applied.add(policy, target)

    def _accepts(self, policy: BackendTrafficPolicy, target: Target) -> bool:
        if not target.is_route and not target.is_gateway:
            message = f"{target.kind} is not a target; use HTTPRoute or Gateway"
            self._report.error(policy.id, Code.UNSUPPORTED, target.path, message)
            return False
        if target.is_gateway and target.section:
            message = "settings of single listeners are not supported yet"
            path = f"{target.path}.sectionName"
            self._report.error(policy.id, Code.UNSUPPORTED, path, message)
            return False
        if target.is_gateway and policy.spec.merge_type:
            message = "has no effect for a Gateway: there is nothing to merge with"
            self._report.warning(policy.id, Code.NO_EFFECT, "spec.mergeType", message)
        return True

    def check(self, route: AIGatewayRoute) -> tuple[int, ...]:
        """Names policies of a route that do not apply, or not to a rule; what selects the route."""
        names = {rule.name for rule in route.spec.rules}
        for section, uses in self.applied.named(route.namespace, route.metadata.name).items():
            if section and section not in names:
                message = f"{route.id} has no rule of the name {section}"
                for use in uses:
                    path = f"{use.target.path}.sectionName"
                    self._report.warning(use.policy.id, Code.NOT_FOUND, path, message)
        return self.applied.check(route)

    def check_plain(self, route: "HTTPRoute") -> None:
        """Names policies of a plain route: they are for routes of the API."""
        for uses in self.applied.named(route.namespace, route.metadata.name).values():
            for use in uses:
                message = "a plain HTTPRoute is not supported as a target, only an AIGatewayRoute"
                self._report.error(use.policy.id, Code.UNSUPPORTED, use.target.path, message)

    def of(
        self, gateway: Gateway, route: AIGatewayRoute, rule: AIGatewayRouteRule
    ) -> BackendSettings:
        """The settings of a rule of a route on a Gateway."""
        parent = self.applied.of_gateway(gateway.namespace, gateway.metadata.name)
        own = self.applied.of_route(route)
        if rule.name:
            own = self.applied.of_route(route, rule.name) or own
        policy = own or parent
        if policy is None:
            return BackendSettings()
        if own and parent and own.spec.merge_type:
            return self._merge(parent, own)
        return self._own[policy.id]

    def _merge(self, parent: BackendTrafficPolicy, own: BackendTrafficPolicy) -> BackendSettings:
        def merged() -> BackendSettings:
            document = _merged(_written(parent.spec), _written(own.spec))
            spec = BackendTrafficPolicySpec.model_validate(document)
            return _settings(spec, Fields(own.id, self._report))

        return self._once.get((parent.id, own.id), merged)


def _written(spec: BackendTrafficPolicySpec) -> dict[str, Any]:
    """What the user wrote, without targets."""
    return spec.model_dump(by_alias=True, exclude_unset=True, exclude=_TARGET_FIELDS)


def _merged(parent: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Objects member by member, everything else as a whole."""
    result = dict(parent)
    for name, value in own.items():
        below = result.get(name)
        both = isinstance(value, dict) and isinstance(below, dict)
        result[name] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _settings(spec: BackendTrafficPolicySpec, fields: Fields) -> BackendSettings:
    http = spec.timeout.http if spec.timeout else None
    if http and http.request_timeout:
        message = "has no effect: timeouts.request of the rule counts, 60s where it says nothing"
        fields.no_effect("timeout.http.requestTimeout", message)
    return BackendSettings(
        retry=spec.retry,
        stream_idle_ms=fields.limit(http.stream_idle_timeout) if http else None,
        stream_ms=fields.limit(http.max_stream_duration) if http else None,
        traffic=_traffic(spec, fields),
    )


def _traffic(spec: BackendTrafficPolicySpec, fields: Fields) -> Traffic:
    connection, breaker, health = spec.connection, spec.circuit_breaker, spec.health_check
    preconnect = connection.preconnect if connection else None
    http = spec.timeout.http if spec.timeout else None
    tcp = spec.timeout.tcp if spec.timeout else None
    if connection and connection.socket_buffer_limit is not None:
        fields.refuse("connection.socketBufferLimit")
    limit = connection.buffer_limit if connection else None
    return Traffic(
        connect_ms=fields.time(tcp.connect_timeout, "timeout.tcp.connectTimeout") if tcp else None,
        idle_ms=fields.limit(http.connection_idle_timeout) if http else None,
        max_connection_ms=(fields.limit(http.max_connection_duration) or None) if http else None,
        requests_per_connection=breaker.max_requests_per_connection if breaker else None,
        buffer_bytes=fields.size(limit, "connection.bufferLimit"),
        preconnect_percent=preconnect.per_endpoint_percent if preconnect else None,
        predictive_percent=preconnect.predictive_percent if preconnect else None,
        keepalive=fields.keepalive(spec.tcp_keepalive, "tcpKeepalive"),
        circuit_breaker=_circuit_breaker(breaker, fields) if breaker else None,
        balancer=balancer(spec.load_balancer, fields) if spec.load_balancer else None,
        active=_active(health.active, fields) if health and health.active else None,
        ejection=_ejection(health.passive, fields) if health and health.passive else None,
        panic_percent=health.panic_threshold if health else None,
        dns=_dns(spec.dns, fields) if spec.dns else None,
        http2=fields.http2(spec.http2, "http2"),
    )


def _circuit_breaker(written: "cluster_settings.CircuitBreaker", fields: Fields) -> CircuitBreaker:
    budget = written.retry_budget
    least = budget.min_retry_concurrency if budget else None
    per_endpoint = written.per_endpoint
    return CircuitBreaker(
        connections=written.max_connections,
        pending_requests=written.max_pending_requests,
        requests=written.max_parallel_requests,
        retries=written.max_parallel_retries,
        connections_per_endpoint=per_endpoint.max_connections if per_endpoint else None,
        retry_percent=100 * budget.percent.numerator / budget.percent.denominator
        if budget
        else None,
        least_retries=fields.count(least, "circuitBreaker.retryBudget.minRetryConcurrency"),
    )


def _dns(written: "cluster_settings.DNS", fields: Fields) -> Dns:
    family = LookupFamily(written.lookup_family) if written.lookup_family else None
    refresh = fields.time(written.dns_refresh_rate, "dns.dnsRefreshRate")
    return Dns(refresh, written.respect_dns_ttl, family)


def _active(written: "health_check.ActiveHealthCheck", fields: Fields) -> ActiveCheck | None:
    path = "healthCheck.active"
    interval = fields.time(written.interval, f"{path}.interval")
    timeout = fields.time(written.timeout, f"{path}.timeout")
    check: HttpCheck | TcpCheck | None = None
    if written.http:
        check = _http_check(written.http, fields, f"{path}.http")
    elif written.tcp:
        check = TcpCheck(_hex(written.tcp.send), _hex(written.tcp.receive))
    else:
        fields.refuse(f"{path}.type", f"checks of type {written.type} are not supported yet")
    if check is None or interval is None or timeout is None:
        return None
    return ActiveCheck(
        check,
        interval,
        timeout,
        fields.limit(written.initial_jitter),
        written.unhealthy_threshold,
        written.healthy_threshold,
        written.overrides.port if written.overrides else None,
    )


def _http_check(
    written: "health_check.HTTPActiveHealthChecker", fields: Fields, path: str
) -> HttpCheck | None:
    method = written.method or "GET"
    if method not in _METHODS:
        fields.invalid(f"{path}.method", f"must be one of {', '.join(_METHODS)}")
        return None
    if not written.path.isprintable() or " " in written.path:
        fields.invalid(f"{path}.path", "must be a path")
        return None
    return HttpCheck(
        written.path,
        written.hostname or "",
        method,
        tuple(written.expected_statuses or ()),
        tuple(written.retriable_statuses or ()),
        _hex(written.expected_response),
    )


def _hex(written: "health_check.HealthCheckPayload | None") -> str:
    if written is None:
        return ""
    if written.binary is not None:
        return base64.b64decode(written.binary).hex()
    return (written.text or "").encode().hex()


def _ejection(written: "health_check.PassiveHealthCheck", fields: Fields) -> Ejection | None:
    path = "healthCheck.passive"
    interval = fields.time(written.interval, f"{path}.interval")
    base = fields.time(written.base_ejection_time, f"{path}.baseEjectionTime")
    errors = fields.count(written.consecutive5_xx_errors, f"{path}.consecutive5XxErrors")
    name = f"{path}.consecutiveLocalOriginFailures"
    failures = fields.count(written.consecutive_local_origin_failures, name)
    name = f"{path}.consecutiveGatewayErrors"
    gateway = fields.count(written.consecutive_gateway_errors, name)
    if interval is None or base is None or errors is None or failures is None:
        return None
    return Ejection(
        interval,
        base,
        written.max_ejection_percent,
        errors,
        failures,
        gateway,
        written.failure_percentage_threshold,
        written.split_external_local_origin_errors,
        written.always_eject_one_endpoint,
    )
