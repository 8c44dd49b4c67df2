"""ClientTrafficPolicies: listeners and their ports, certificates, what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from aigw.plan.traffic import (
    Balance,
    ClientAddress,
    ClientTls,
    ClientTraffic,
    PortTraffic,
    ProxyProtocol,
)
from beds.authority import Authority
from beds.policies import HTTP, LEFT, backend, client, compiled, findings, gateway, plan_of, target
from beds.resources import Resource, resource

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
    data = AUTHORITY.issue("localhost").data
    return {**resource("v1", "Secret", "server"), "stringData": data}


def bundle(text: str = AUTHORITY.pem) -> Resource:
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
    assert plan.authorities[validation.authorities].strip() == AUTHORITY.pem.strip()


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
        backend(
            "q",
            target("HTTPRoute", "route"),
            loadBalancer={"type": "LeastRequest", "slowStart": {"window": "9s"}},
        ),
    )
    assert plan.ports[0].traffic.proxy_protocol is ProxyProtocol.OPTIONAL
    address = plan.ports[0].listeners[0].traffic.address
    assert address == ClientAddress(header="x-real-ip", reject_without=True)
    balancer = plan.rules["default/route/rule/0"].traffic.balancer
    assert balancer is not None
    assert (balancer.type, balancer.slow_start_ms) == (Balance.LEAST_REQUEST, 9000)
