"""Traffic policies: whom they apply to, what they say, and what is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aigw.api.load import Source, load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled, compile_plan
from aigw.plan import Plan, RetryPolicy, Timeouts
from aigw.plan_traffic import (
    Balance,
    CircuitBreaker,
    ClientAddress,
    ClientTls,
    ClientTraffic,
    PortTraffic,
    ProxyProtocol,
    Traffic,
)
from beds.certificates import Authority
from beds.resources import BackendSpec, Resource, resource, rule

if TYPE_CHECKING:
    from collections.abc import Mapping

EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
HTTP = {"name": "http", "protocol": "HTTP", "port": 80}


def gateway(*listeners: Resource, name: str = "gw", **labels: str) -> Resource:
    """A Gateway."""
    found = resource(
        f"{GW}/v1", "Gateway", name, gatewayClassName="c", listeners=list(listeners) or [HTTP]
    )
    return {**found, "metadata": {"name": name, "labels": labels}}


def route(*rules: Resource, name: str = "route", gateways: tuple[str, ...] = ("gw",)) -> Resource:
    """An AIGatewayRoute with the label `team: ai`."""
    found = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "AIGatewayRoute",
        name,
        parentRefs=[{"name": item} for item in gateways],
        rules=list(rules) or [{**rule("m", "a"), "name": "one"}, {**rule("n", "a"), "name": "two"}],
    )
    return {**found, "metadata": {"name": name, "labels": {"team": "ai"}}}


def target(kind: str, name: str, section: str | None = None) -> Resource:
    """A target."""
    more = {"sectionName": section} if section else {}
    return {"group": GW, "kind": kind, "name": name, **more}


def policy(kind: str, name: str, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A policy; those whose names come first in the alphabet are older."""
    refs = {"targetRefs": list(targets)} if targets else {}
    return resource(EG, kind, name, **refs, **spec)


def backend(name: str, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A BackendTrafficPolicy."""
    return policy("BackendTrafficPolicy", name, *targets, **spec)


def client(name: str, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A ClientTrafficPolicy."""
    return policy("ClientTrafficPolicy", name, *targets, **spec)


def compiled(*documents: Resource) -> Compiled:
    """The documents with a backend `a`, and a Gateway and a route unless there are some."""
    found = [*documents, *BackendSpec("a", 9).resources(), *BackendSpec("b", 9).resources()]
    for kind, default in (("Gateway", gateway()), ("AIGatewayRoute", route())):
        if not any(item["kind"] == kind for item in documents):
            found.append(default)
    return compile_plan(load([Source("f.yaml", yaml.safe_dump_all(found))], Environment({}, str)))


def findings(*documents: Resource) -> list[tuple[str, str, str]]:
    """Severity, path and message of every finding."""
    return [
        (item.severity.value, item.field_path, item.message)
        for item in compiled(*documents).diagnostics
    ]


def plan_of(*documents: Resource) -> Plan:
    """A plan without findings."""
    found = compiled(*documents)
    assert [str(item) for item in found.diagnostics] == []
    assert found.plan is not None
    return found.plan


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
    assert [str(item.resource) for item in found.diagnostics] == [
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
LEFT = "it is left out"
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


HTTPS = {
    "name": "https",
    "protocol": "HTTPS",
    "port": 443,
    "tls": {"certificateRefs": [{"name": "server"}]},
}
OTHER_HTTPS = {**HTTPS, "name": "other", "hostname": "other.example"}
OF_CLIENTS: dict[str, tuple[Resource, str, str]] = {
    "tcp timeout": ({"timeout": {"tcp": {"idleTimeout": "1s"}}}, "timeout.tcp", "no effect"),
    "no connection": (
        {"connection": {"connectionLimit": {"value": 0}}},
        "connection.connectionLimit.value",
        "must be at least 1",
    ),
    "scheme": ({"scheme": "Preserve"}, "scheme", "the scheme of their own connection"),
    "request id": ({"headers": {"requestID": "Preserve"}}, "headers.requestID", "no effect"),
    "tls without HTTPS": ({"tls": {"minVersion": "1.3"}}, "tls", "has no HTTPS listener"),
    "health path": ({"healthCheck": {"path": "x"}}, "healthCheck.path", "begins with /"),
    "internal header": (
        {
            "headers": {
                "earlyRequestHeaders": {"set": [{"name": "X-Envoy-Retry-On", "value": "5xx"}]}
            }
        },
        "headers.earlyRequestHeaders.set[0].name",
        "belongs to the gateway",
    ),
    "model": (
        {"headers": {"earlyRequestHeaders": {"add": [{"name": "x-ai-eg-model", "value": "m"}]}}},
        "headers.earlyRequestHeaders.add[0].name",
        "belongs to the gateway",
    ),
    "host": (
        {"headers": {"earlyRequestHeaders": {"remove": ["Host"]}}},
        "headers.earlyRequestHeaders.remove[0]",
        "belongs to the gateway",
    ),
    "everything": (
        {
            "headers": {
                "earlyRequestHeaders": {
                    "removeOnMatch": [{"type": "RegularExpression", "value": ".*"}]
                }
            }
        },
        "headers.earlyRequestHeaders.removeOnMatch[0]",
        "belongs to the gateway",
    ),
    "expression": (
        {
            "headers": {
                "earlyRequestHeaders": {
                    "removeOnMatch": [{"type": "RegularExpression", "value": "("}]
                }
            }
        },
        "headers.earlyRequestHeaders.removeOnMatch[0].value",
        "is not a valid RE2 expression",
    ),
    "operator": (
        {"headers": {"earlyRequestHeaders": {"set": [{"name": "x", "value": "%NO%"}]}}},
        "headers.earlyRequestHeaders.set[0].value",
        "unknown operator",
    ),
    "range": (
        {"clientIPDetection": {"xForwardedFor": {"trustedCIDRs": ["10.0.0.0/99"]}}},
        "clientIPDetection.xForwardedFor.trustedCIDRs[0]",
        "is not a range of addresses",
    ),
    "address in a header of ours": (
        {"clientIPDetection": {"customHeader": {"name": "x-envoy-external-address"}}},
        "clientIPDetection.customHeader.name",
        "belongs to the gateway",
    ),
}


@pytest.mark.parametrize(("spec", "path", "part"), OF_CLIENTS.values(), ids=OF_CLIENTS)
def test_what_clients_cannot_have_is_named(spec: Resource, path: str, part: str) -> None:
    [(severity, found, message)] = findings(client("p", target("Gateway", "gw"), **spec))
    assert found == f"spec.{path}"
    assert part in message
    no_effect = "no effect" in message or "no HTTPS" in message
    assert severity == ("warning" if no_effect else "error")


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("http3", {"http3": {}}),
        ("grpc", {"grpc": {}}),
        ("headers.enableEnvoyHeaders", {"headers": {"enableEnvoyHeaders": True}}),
        ("headers.lateResponseHeaders", {"headers": {"lateResponseHeaders": {}}}),
        ("http1.http10", {"http1": {"http10": {}}}),
        ("tls.session", {"tls": {"session": {}}}),
        ("tls.clientValidation.crl", {"tls": {"clientValidation": {"crl": {}}}}),
    ],
)
def test_settings_of_clients_that_are_not_served_are_refused(field: str, spec: Resource) -> None:
    found = findings(client("p", target("Gateway", "gw"), **spec))
    assert ("error", f"spec.{field}", "is not supported yet") in found


def test_the_policy_of_a_listener_applies_instead_of_that_of_its_gateway() -> None:
    whole = {"timeout": {"http": {"idleTimeout": "1s", "streamIdleTimeout": "2s"}}}
    own = {"timeout": {"http": {"idleTimeout": "3s"}}, "tcpKeepalive": {"probes": 1}}
    plan = plan_of(
        gateway(HTTP, {**HTTP, "name": "other", "port": 81}),
        client("a", target("Gateway", "gw"), connection={"bufferLimit": "1Mi"}, **whole),
        client("b", target("Gateway", "gw", "other"), **own),
    )
    first, second = (port.listeners[0].traffic for port in plan.ports)
    assert first == ClientTraffic(idle_ms=1000, stream_idle_ms=2000)
    assert second == ClientTraffic(idle_ms=3000)
    assert plan.ports[1].traffic.keepalive is not None
    assert plan.gateways["default/gw"].limits.request_body_bytes == 2**20


def test_a_listener_has_no_settings_of_what_it_shares() -> None:
    other = {**HTTP, "name": "other", "hostname": "other.example"}
    message = "port 80 has other listeners; without TLS they are one"
    assert findings(
        gateway(HTTP, other),
        client("p", target("Gateway", "gw", "other"), timeout={"http": {"idleTimeout": "1s"}}),
    ) == [("error", "spec.targetRefs[0].sectionName", message)]
    limit = {"connection": {"bufferLimit": "1Mi"}}
    message = f"the limit is one for all listeners of a Gateway; {LEFT}"
    assert findings(client("p", target("Gateway", "gw", "http"), **limit)) == [
        ("error", "spec.connection.bufferLimit", message)
    ]
    message = "Gateway default/gw has no listener of the name nowhere"
    assert findings(client("p", target("Gateway", "gw", "nowhere"), **limit)) == [
        ("warning", "spec.targetRefs[0].sectionName", message)
    ]


AUTHORITY = Authority()


def server() -> Resource:
    """The Secret of HTTPS listeners."""
    chain, key = AUTHORITY.issue("localhost")
    data = {"tls.crt": chain, "tls.key": key}
    return {**resource("v1", "Secret", "server"), "stringData": data}


def bundle(text: str = AUTHORITY.certificate) -> Resource:
    """The ConfigMap with the authorities of clients."""
    return {**resource("v1", "ConfigMap", "clients"), "data": {"ca.crt": text}}


def validating(**members: Any) -> Resource:  # noqa: ANN401
    """A ClientTrafficPolicy of the HTTPS listener that wants certificates."""
    refs = {"caCertificateRefs": [{"kind": "ConfigMap", "name": "clients"}]}
    tls = {"clientValidation": {**refs, **members}}
    return client("p", target("Gateway", "gw", "https"), tls=tls)


def test_settings_of_a_port_are_refused_where_listeners_share_it() -> None:
    policies = client(
        "p", target("Gateway", "gw", "https"), proxyProtocol={}, tls={"alpnProtocols": []}
    )
    found = compiled(gateway(HTTPS, OTHER_HTTPS), server(), policies)
    message = f"port 443 has other listeners; it is for a Gateway; {LEFT}"
    assert [(item.field_path, item.message) for item in found.diagnostics] == [
        ("spec.proxyProtocol", message)
    ]
    assert found.plan is not None
    [port] = found.plan.ports
    assert port.traffic == PortTraffic()
    assert port.listeners[0].traffic.tls == ClientTls(protocols=())
    assert port.listeners[1].traffic == ClientTraffic()


def test_authorities_of_clients_are_in_the_plan() -> None:
    plan = plan_of(gateway(HTTP, HTTPS), server(), bundle(), validating(optional=True))
    [plain, secure] = plan.ports
    assert plain.listeners[0].traffic.tls.validation is None
    validation = secure.listeners[0].traffic.tls.validation
    assert validation is not None
    assert validation.optional
    assert plan.authorities[validation.authorities].strip() == AUTHORITY.certificate.strip()


BROKEN = {
    "no such object": ((), {}),
    "no certificates": ((bundle("nothing"),), {}),
    "another kind": ((bundle(),), {"caCertificateRefs": [{"kind": "Other", "name": "x"}]}),
    "nothing to check": ((), {"caCertificateRefs": []}),
    "a broken hash": ((bundle(),), {"certificateHashes": ["xyz"]}),
    "a broken key hash": ((bundle(),), {"spkiHashes": ["xyz"]}),
    "a broken name": (
        (bundle(),),
        {"subjectAltNames": {"uris": [{"type": "RegularExpression", "value": "("}]}},
    ),
}


@pytest.mark.parametrize(("more", "members"), BROKEN.values(), ids=BROKEN)
def test_a_listener_that_cannot_validate_its_clients_is_not_served(
    more: tuple[Resource, ...], members: Resource
) -> None:
    found = compiled(gateway(HTTP, HTTPS), server(), *more, validating(**members))
    assert found.plan is not None
    assert [port.number for port in found.plan.ports] == [80]
    messages = [item.message for item in found.errors]
    assert any("cannot validate its clients" in message for message in messages)
    assert len(messages) == 2


@pytest.mark.parametrize("field", ["tls", "headers", "clientIPDetection"])
def test_a_gateway_is_not_served_without_the_protection_that_it_asks_for(field: str) -> None:
    found = compiled(client("p", target("Gateway", "gw"), **{field: {"unknown": 1}}))
    assert found.plan is not None
    assert all(item.groups == () for item in found.plan.rules.values())
    other = compiled(client("p", target("Gateway", "gw"), http1={"unknown": 1}))
    assert other.plan is not None
    assert all(item.groups for item in other.plan.rules.values())


def test_words_of_policies_become_words_of_the_plan() -> None:
    plan = plan_of(
        client(
            "p",
            target("Gateway", "gw"),
            enableProxyProtocol=True,
            proxyProtocol={"optional": True},
            clientIPDetection={"customHeader": {"name": "X-Real-IP", "failClosed": True}},
        ),
        backend("q", ROUTE, loadBalancer={"type": "LeastRequest", "slowStart": {"window": "9s"}}),
    )
    assert plan.ports[0].traffic.proxy_protocol is ProxyProtocol.OPTIONAL
    address = plan.ports[0].listeners[0].traffic.address
    assert address == ClientAddress(header="x-real-ip", reject_without=True)
    balancer = plan.rules["default/route/rule/0"].traffic.balancer
    assert balancer is not None
    assert (balancer.type, balancer.slow_start_ms) == (Balance.LEAST_REQUEST, 9000)
