"""BackendTrafficPolicies: whom they apply to, what they say, and what is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aigw.plan import Plan, RetryPolicy, Timeouts
from aigw.plan.traffic import CircuitBreaker, Traffic
from beds.policies import (
    HTTP,
    LEFT,
    backend,
    client,
    compiled,
    findings,
    gateway,
    plan_of,
    route,
    target,
)
from beds.resources import Resource, rule

if TYPE_CHECKING:
    from collections.abc import Mapping


def connect(name: str, milliseconds: int, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A BackendTrafficPolicy that is told by its connect timeout."""
    timeout = {"tcp": {"connectTimeout": f"{milliseconds}ms"}}
    return backend(name, *targets, timeout=timeout, **spec)


def connects(plan: Plan) -> Mapping[str, int | None]:
    """Connect timeouts by rule."""
    return {name: found.traffic.connect_ms for name, found in plan.rules.items()}


def test_a_rule_beats_its_route_and_a_route_its_gateway() -> None:
    plan = plan_of(
        connect("a", 1, target("Gateway", "gw")),
        connect("b", 2, target("HTTPRoute", "route")),
        connect("c", 3, target("HTTPRoute", "route", "one")),
        route(),
        route({**rule("o", "a")}, name="other"),
    )
    assert connects(plan) == {
        "default/route/rule/0": 3,
        "default/route/rule/1": 2,
        "default/other/rule/0": 1,
    }


def test_policies_find_routes_and_gateways_by_their_labels() -> None:
    by_route = {"kind": "HTTPRoute", "matchLabels": {"team": "ai"}}
    expression = {"key": "tier", "operator": "In", "values": ["edge"]}
    by_gateway = {"kind": "Gateway", "matchExpressions": [expression]}
    plan = plan_of(
        gateway(tier="edge"),
        connect("a", 1, targetSelectors=[by_route]),
        client("b", targetSelectors=[by_gateway], connection={"bufferLimit": "1Mi"}),
    )
    assert set(connects(plan).values()) == {1}
    assert plan.gateways["default/gw"].limits.request_body_bytes == 2**20


def test_a_selector_that_finds_nothing_is_named() -> None:
    selector = {"kind": "Gateway", "matchLabels": {"no": "where"}}
    for found in (
        backend("a", targetSelectors=[selector]),
        client("a", targetSelectors=[selector]),
    ):
        message = "selects no Gateway in the namespace default"
        assert findings(found) == [("warning", "spec.targetSelectors[0]", message)]


def test_the_oldest_policy_has_the_target_and_the_other_is_named() -> None:
    found = compiled(
        connect("a", 1, target("HTTPRoute", "route")),
        connect("b", 2, target("HTTPRoute", "route")),
        client("c", target("Gateway", "gw"), timeout={"http": {"idleTimeout": "1s"}}),
        client("d", target("Gateway", "gw"), timeout={"http": {"idleTimeout": "2s"}}),
    )
    assert found.plan is not None
    assert set(connects(found.plan).values()) == {1}
    assert found.plan.ports[0].listeners[0].traffic.idle_ms == 1000
    assert sorted(str(item.resource) for item in found.diagnostics) == [
        "BackendTrafficPolicy default/b",
        "ClientTrafficPolicy default/d",
    ]


@pytest.mark.parametrize("kind", ["StrategicMerge", "JSONMerge"])
def test_a_merged_policy_adds_to_that_of_the_gateway(kind: str) -> None:
    plan = plan_of(
        connect(
            "a",
            1,
            target("Gateway", "gw"),
            retry={"numRetries": 5, "retryOn": {"httpStatusCodes": [500, 503]}},
            circuitBreaker={"maxConnections": 7},
        ),
        backend(
            "b",
            target("HTTPRoute", "route", "one"),
            mergeType=kind,
            retry={"retryOn": {"httpStatusCodes": [429]}},
            circuitBreaker={"maxParallelRequests": 3},
        ),
    )
    one, two = plan.rules["default/route/rule/0"], plan.rules["default/route/rule/1"]
    assert isinstance(one.retry, RetryPolicy)
    assert (one.retry.num_retries, one.retry.status_codes) == (5, (429,))
    assert one.traffic == Traffic(connect_ms=1, circuit_breaker=CircuitBreaker(7, 1024, 3, 1024))
    assert two.traffic.circuit_breaker == CircuitBreaker(7, 1024, 1024, 1024)


def test_a_rule_under_two_gateways_has_the_settings_of_each() -> None:
    plan = plan_of(
        gateway(),
        gateway({**HTTP, "port": 81}, name="other"),
        route(gateways=("gw", "other")),
        connect("a", 1, target("Gateway", "other")),
    )
    assert connects(plan) == {
        "default/route/rule/0": None,
        "default/route/rule/1": None,
        "default/route/rule/0@default/other": 1,
        "default/route/rule/1@default/other": 1,
    }


TIMEOUTS = {
    "nothing": ({}, {}, Timeouts(60_000)),
    "a shorter stream": ({}, {"maxStreamDuration": "5s"}, Timeouts(5_000)),
    "a longer stream": ({}, {"maxStreamDuration": "5m"}, Timeouts(60_000)),
    "a stream without limit": ({}, {"maxStreamDuration": "0s"}, Timeouts(60_000)),
    "only the stream": (
        {"timeouts": {"request": "0s"}},
        {"maxStreamDuration": "5m"},
        Timeouts(300_000),
    ),
    "silence": ({}, {"streamIdleTimeout": "7s"}, Timeouts(60_000, stream_idle_ms=7000)),
    "silence of the rule": (
        {"streamIdleTimeout": "3s"},
        {"streamIdleTimeout": "7s"},
        Timeouts(60_000, stream_idle_ms=3000),
    ),
}


@pytest.mark.parametrize(("of_rule", "of_policy", "expected"), TIMEOUTS.values(), ids=TIMEOUTS)
def test_a_rule_has_the_last_word_about_its_timeouts(
    of_rule: Resource, of_policy: Resource, expected: Timeouts
) -> None:
    plan = plan_of(
        route(rule("m", "a", **of_rule)),
        backend("p", target("HTTPRoute", "route"), timeout={"http": of_policy}),
    )
    assert plan.rules["default/route/rule/0"].timeouts == expected


ROUTE = target("HTTPRoute", "route")
HASH = "loadBalancer.consistentHash"
CHECK = {"type": "HTTP", "http": {"path": "/"}}
OF_BACKENDS: dict[str, tuple[Resource, str, str]] = {
    "request timeout": (
        {"timeout": {"http": {"requestTimeout": "5s"}}},
        "timeout.http.requestTimeout",
        "has no effect: timeouts.request of the rule counts",
    ),
    "connect timeout 0": (
        {"timeout": {"tcp": {"connectTimeout": "0s"}}},
        "timeout.tcp.connectTimeout",
        "must be longer than 0",
    ),
    "socket buffer": (
        {"connection": {"socketBufferLimit": "1Mi"}},
        "connection.socketBufferLimit",
        "not supported yet",
    ),
    "balancer": (
        {"loadBalancer": {"type": "BackendUtilization", "backendUtilization": {}}},
        "loadBalancer.type",
        "BackendUtilization is not supported yet",
    ),
    "zones": (
        {"loadBalancer": {"type": "RoundRobin", "zoneAware": {"preferLocal": {}}}},
        "loadBalancer.zoneAware",
        "zones are not known here",
    ),
    "endpoints chosen by clients": (
        {
            "loadBalancer": {
                "type": "Random",
                "endpointOverride": {"extractFrom": [{"header": "x"}]},
            }
        },
        "loadBalancer.endpointOverride",
        "clients must not choose",
    ),
    "table size": (
        {
            "loadBalancer": {
                "type": "ConsistentHash",
                "consistentHash": {"type": "SourceIP", "tableSize": 1000},
            }
        },
        f"{HASH}.tableSize",
        "must be a prime number",
    ),
    "header": (
        {
            "loadBalancer": {
                "type": "ConsistentHash",
                "consistentHash": {"type": "Header", "header": {"name": "a b"}},
            }
        },
        HASH,
        "is not the name of a header",
    ),
    "a header that is gone": (
        {
            "loadBalancer": {
                "type": "ConsistentHash",
                "consistentHash": {"type": "Header", "header": {"name": "Authorization"}},
            }
        },
        HASH,
        "is taken off before; nothing is hashed",
    ),
    "cookie": (
        {
            "loadBalancer": {
                "type": "ConsistentHash",
                "consistentHash": {"type": "Cookie", "cookie": {"name": ""}},
            }
        },
        f"{HASH}.cookie",
        "no cookie can have",
    ),
    "gRPC checks": (
        {"healthCheck": {"active": {"type": "GRPC"}}},
        "healthCheck.active.type",
        "checks of type GRPC are not supported yet",
    ),
    "method of checks": (
        {"healthCheck": {"active": {**CHECK, "http": {"path": "/", "method": "CONNECT"}}}},
        "healthCheck.active.http.method",
        "must be one of GET",
    ),
    "interval of checks": (
        {"healthCheck": {"active": {**CHECK, "interval": "0s"}}},
        "healthCheck.active.interval",
        "must be longer than 0",
    ),
    "negative errors": (
        {"healthCheck": {"passive": {"consecutive5XxErrors": -1}}},
        "healthCheck.passive.consecutive5XxErrors",
        "must not be negative",
    ),
    "window": (
        {"http2": {"initialStreamWindowSize": "1Ki"}},
        "http2.initialStreamWindowSize",
        "must be between 65535",
    ),
    "invalid messages": (
        {"http2": {"onInvalidMessage": "Ignore"}},
        "http2.onInvalidMessage",
        "must be TerminateConnection or TerminateStream",
    ),
    "pings": (
        {"http2": {"connectionKeepalive": {"timeout": "1s"}}},
        "http2.connectionKeepalive",
        "has no effect without interval",
    ),
}


@pytest.mark.parametrize(("spec", "path", "part"), OF_BACKENDS.values(), ids=OF_BACKENDS)
def test_what_cannot_be_served_towards_providers_is_named(
    spec: Resource, path: str, part: str
) -> None:
    [(severity, found, message)] = findings(backend("p", ROUTE, **spec))
    assert found == f"spec.{path}"
    assert part in message
    is_idle = "no effect" in message or "nothing is" in message
    assert severity == ("warning" if is_idle else "error")
    assert message.endswith(LEFT) == (severity == "error")


NOT_YET = [
    "admissionControl",
    "compression",
    "faultInjection",
    "httpUpgrade",
    "proxyProtocol",
    "rateLimit",
    "requestBuffer",
    "responseOverride",
    "routingType",
    "telemetry",
    "useClientProtocol",
]


@pytest.mark.parametrize("field", NOT_YET)
def test_a_policy_with_a_setting_that_is_not_served_is_refused(field: str) -> None:
    found = findings(backend("p", ROUTE, **{field: {}}))
    assert ("error", f"spec.{field}", "is not supported yet") in found
