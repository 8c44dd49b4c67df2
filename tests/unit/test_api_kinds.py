"""Kinds: fields, limits and rules."""

from collections.abc import Mapping
from typing import Any

import pytest

from aigw.api import kinds
from aigw.api.parse import parse
from aigw.errors import Code

AIGW = "aigateway.envoyproxy.io/v1beta1"
EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io/v1"

MINIMAL: dict[str, dict[str, Any]] = {
    "AIGatewayRoute": {"apiVersion": AIGW, "spec": {"rules": []}},
    "AIServiceBackend": {
        "apiVersion": AIGW,
        "spec": {
            "schema": {"name": "OpenAI"},
            "backendRef": {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "b"},
        },
    },
    "BackendSecurityPolicy": {
        "apiVersion": AIGW,
        "spec": {"type": "APIKey", "apiKey": {"secretRef": {"name": "s"}}},
    },
    "GatewayConfig": {"apiVersion": AIGW, "spec": {}},
    "MCPRoute": {
        "apiVersion": AIGW,
        "spec": {
            "parentRefs": [{"name": "g"}],
            "backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "b"}],
        },
    },
    "QuotaPolicy": {"apiVersion": "aigateway.envoyproxy.io/v1alpha1", "spec": {}},
    "Backend": {
        "apiVersion": EG,
        "spec": {"endpoints": [{"fqdn": {"hostname": "a.example", "port": 443}}]},
    },
    "BackendTrafficPolicy": {"apiVersion": EG, "spec": {}},
    "ClientTrafficPolicy": {"apiVersion": EG, "spec": {}},
    "SecurityPolicy": {"apiVersion": EG, "spec": {}},
    "EnvoyProxy": {"apiVersion": EG, "spec": {}},
    "GatewayClass": {"apiVersion": GW, "spec": {"controllerName": "a.example/c"}},
    "Gateway": {
        "apiVersion": GW,
        "spec": {
            "gatewayClassName": "c",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    },
    "BackendTLSPolicy": {
        "apiVersion": GW,
        "spec": {
            "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "b"}],
            "validation": {"hostname": "a.example", "wellKnownCACertificates": "System"},
        },
    },
    "HTTPRoute": {"apiVersion": GW, "spec": {}},
    "HTTPRouteFilter": {"apiVersion": EG, "spec": {}},
    "ConfigMap": {"apiVersion": "v1"},
    "Namespace": {"apiVersion": "v1"},
    "ReferenceGrant": {
        "apiVersion": GW,
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "a"}],
            "to": [{"group": "", "kind": "Secret"}],
        },
    },
    "Secret": {"apiVersion": "v1"},
}


def document(kind: str, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The smallest valid document of a kind, with some members of its spec replaced."""
    base = {"kind": kind, "metadata": {"name": "x"}, **MINIMAL[kind]}
    return {**base, "spec": {**base["spec"], **spec}} if spec is not None else base


def rule(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    """An AIGatewayRoute with one rule."""
    return document("AIGatewayRoute", {"rules": [members]})


LOG_FORMAT = "spec.telemetry.accessLog.settings[0].format"


def access_log(written: dict[str, Any]) -> dict[str, Any]:
    """An EnvoyProxy with one format of access logs."""
    sink = {"type": "File", "file": {"path": "/dev/stdout"}}
    settings = [{"sinks": [sink], "format": written}]
    return document("EnvoyProxy", {"telemetry": {"accessLog": {"settings": settings}}})


def findings(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Field path and message of all findings."""
    return [(item.field_path, item.message) for item in parse(value).diagnostics]


@pytest.mark.parametrize("kind", sorted(MINIMAL))
def test_the_smallest_document_of_each_kind_is_accepted(kind: str) -> None:
    parsed = parse(document(kind))
    assert not parsed.diagnostics
    assert parsed.resource is not None
    assert parsed.resource.id == parsed.id


def test_every_kind_has_a_smallest_document() -> None:
    assert {kind for _, kind in kinds.KINDS} == set(MINIMAL)


@pytest.mark.parametrize("kind", sorted(MINIMAL))
def test_an_unknown_field_is_an_error(kind: str) -> None:
    assert findings({**document(kind), "colour": 1}) == [("colour", "unknown field")]


@pytest.mark.parametrize("kind", sorted(set(MINIMAL) - {"Secret", "ConfigMap", "Namespace"}))
def test_an_unknown_field_of_the_spec_is_an_error(kind: str) -> None:
    assert findings(document(kind, {"colour": 1})) == [("spec.colour", "unknown field")]


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("BackendTrafficPolicy", {"rateLimit": {}}, "spec.rateLimit"),
        ("ClientTrafficPolicy", {"http3": {}}, "spec.http3"),
        ("EnvoyProxy", {"bootstrap": {}}, "spec.bootstrap"),
        ("EnvoyProxy", {"telemetry": {"tracing": {}}}, "spec.telemetry.tracing"),
        ("Backend", {"endpoints": [{"zone": "a"}]}, "spec.endpoints[0].zone"),
        ("Gateway", {"tls": {"frontend": {}}}, "spec.tls.frontend"),
    ],
)
def test_a_field_that_is_not_implemented_is_refused_by_name(
    kind: str, spec: dict[str, Any], path: str
) -> None:
    assert (path, "is not supported yet") in findings(document(kind, spec))


def test_a_kind_that_is_not_implemented_is_refused_by_name() -> None:
    parsed = parse({"apiVersion": EG, "kind": "EnvoyPatchPolicy", "metadata": {"name": "x"}})
    assert [item.code for item in parsed.diagnostics] == [Code.UNSUPPORTED]
    assert "EnvoyPatchPolicy" in parsed.diagnostics[0].message


def test_a_field_that_is_not_implemented_is_checked_all_the_same() -> None:
    spec = {"credentialOverride": {"fromDynamicMetadata": {}}}
    assert findings(document("BackendSecurityPolicy", spec)) == [
        ("spec.credentialOverride.fromDynamicMetadata.namespace", "is required")
    ]


def test_an_unknown_kind_is_refused() -> None:
    parsed = parse({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})
    assert [item.code for item in parsed.diagnostics] == [Code.UNKNOWN_KIND]


def test_an_unknown_version_is_refused() -> None:
    parsed = parse({**document("Backend"), "apiVersion": "gateway.envoyproxy.io/v9"})
    assert [item.field_path for item in parsed.diagnostics] == ["apiVersion"]


@pytest.mark.parametrize("kind", ["AIGatewayRoute", "AIServiceBackend", "BackendSecurityPolicy"])
def test_our_kinds_are_read_in_both_versions(kind: str) -> None:
    value = {**document(kind), "apiVersion": "aigateway.envoyproxy.io/v1alpha1"}
    assert not parse(value).diagnostics


def test_fields_of_earlier_releases_are_ignored_with_a_warning() -> None:
    parsed = parse(document("AIServiceBackend", {"timeouts": {"request": "3m"}}))
    assert parsed.resource is not None
    assert [item.code for item in parsed.diagnostics] == [Code.IGNORED_FIELD]


def test_status_is_ignored() -> None:
    assert not findings({**document("Backend"), "status": {"conditions": []}})


def test_a_document_without_spec_names_what_is_missing() -> None:
    value = document("AIGatewayRoute")
    del value["spec"]
    assert findings(value) == [("spec.rules", "is required")]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (rule(name="UPPER"), "spec.rules[0].name"),
        (rule(streamIdleTimeout="1.5s"), "spec.rules[0].streamIdleTimeout"),
        (rule(timeouts={"request": "-1s"}), "spec.rules[0].timeouts.request"),
        (rule(modelsCreatedAt="yesterday"), "spec.rules[0].modelsCreatedAt"),
        (rule(backendRefs=[{"name": ""}]), "spec.rules[0].backendRefs[0].name"),
        (rule(backendRefs=[{"name": "b", "weight": -1}]), "spec.rules[0].backendRefs[0].weight"),
        (
            rule(backendRefs=[{"name": "b", "weight": "1"}]),
            "spec.rules[0].backendRefs[0].weight",
        ),
        (
            rule(backendRefs=[{"name": "b", "namespace": ""}]),
            "spec.rules[0].backendRefs[0].namespace",
        ),
        (
            rule(matches=[{"headers": [{"name": "a b", "value": "x"}]}]),
            "spec.rules[0].matches[0].headers[0].name",
        ),
        (
            rule(matches=[{"headers": [{"name": "a", "value": "x"}, {"name": "a", "value": "y"}]}]),
            "spec.rules[0].matches[0].headers",
        ),
        (
            rule(backendRefs=[{"name": "b", "bodyMutation": {"remove": ["a", "a"]}}]),
            "spec.rules[0].backendRefs[0].bodyMutation.remove",
        ),
        (
            document("AIGatewayRoute", {"hostnames": ["Upper.example"]}),
            "spec.hostnames[0]",
        ),
        (document("AIGatewayRoute", {"rules": [{}] * 16}), "spec.rules"),
        (
            document("AIServiceBackend", {"schema": {"name": "Unknown"}}),
            "spec.schema.name",
        ),
        (
            document("ClientTrafficPolicy", {"connection": {"bufferLimit": "0Mi"}}),
            "spec.connection.bufferLimit",
        ),
        (
            document("BackendTrafficPolicy", {"retry": {"retryOn": {"httpStatusCodes": [99]}}}),
            "spec.retry.retryOn.httpStatusCodes[0]",
        ),
    ],
)
def test_a_value_outside_its_limits_is_named(value: dict[str, Any], path: str) -> None:
    assert [place for place, _ in findings(value)] == [path]


@pytest.mark.parametrize(
    ("value", "path", "rule_id"),
    [
        (document("Backend", {"endpoints": [{}]}), "spec.endpoints[0]", "BE-1"),
        (
            document(
                "Backend",
                {
                    "endpoints": [
                        {
                            "fqdn": {"hostname": "a.example", "port": 443},
                            "ip": {"address": "10.0.0.1", "port": 443},
                        }
                    ]
                },
            ),
            "spec.endpoints[0]",
            "BE-2",
        ),
        (
            document(
                "Backend",
                {
                    "endpoints": [
                        {"fqdn": {"hostname": "a.example", "port": 443}},
                        {"ip": {"address": "10.0.0.1", "port": 443}},
                    ]
                },
            ),
            "spec.endpoints",
            "BE-3",
        ),
        (
            document(
                "Gateway",
                {
                    "listeners": [
                        {"name": "a", "port": 80, "protocol": "HTTP"},
                        {"name": "b", "port": 80, "protocol": "HTTP"},
                    ]
                },
            ),
            "spec.listeners",
            "GW-3",
        ),
        (
            document("BackendTLSPolicy", {"validation": {"hostname": "a.example"}}),
            "spec.validation",
            "BTP-1",
        ),
        (
            document(
                "EnvoyProxy",
                {"telemetry": {"accessLog": {"settings": [{"sinks": [{"type": "File"}]}]}}},
            ),
            "spec.telemetry.accessLog.settings[0].sinks[0]",
            "EP-2",
        ),
        (access_log({}), LOG_FORMAT, "EP-3"),
        (access_log({"text": "a", "json": {}}), LOG_FORMAT, "EP-3"),
        (access_log({"type": "Text", "json": {}}), LOG_FORMAT, "EP-3"),
        (access_log({"type": "JSON", "text": "a"}), LOG_FORMAT, "EP-3"),
    ],
)
def test_a_broken_rule_is_named_with_its_id(value: dict[str, Any], path: str, rule_id: str) -> None:
    found = findings(value)
    assert any(place == path and f"({rule_id})" in message for place, message in found)


@pytest.mark.parametrize(
    "value",
    [
        access_log({"text": "a"}),
        access_log({"json": {}}),
        access_log({"type": "Text", "text": "a"}),
        access_log({"type": "JSON", "json": {"a": "b"}}),
    ],
)
def test_rules_accept_what_they_must(value: dict[str, Any]) -> None:
    assert not findings(value)
