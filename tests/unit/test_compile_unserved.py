"""Kinds that are not served yet are checked, then refused by name."""

from typing import Any

import pytest

from aigw.compile.compiler import Compiled
from aigw.errors import Severity
from beds.documents import AIGW, VERSIONS, compile_documents

GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {
        "name": "ai",
        "annotations": {"aigateway.envoyproxy.io/gateway-config": "config"},
    },
    "spec": {
        "gatewayClassName": "c",
        "listeners": [{"name": "http", "port": 1975, "protocol": "HTTP"}],
    },
}
SERVER = {"name": "b", "port": 80}


def resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    version = "v1alpha1" if kind == "QuotaPolicy" else VERSIONS[AIGW]
    name = "config" if kind == "GatewayConfig" else "x"
    return {
        "apiVersion": f"{AIGW}/{version}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def route(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    spec = {"parentRefs": [{"name": "ai"}], "backendRefs": [SERVER], **members}
    return resource("MCPRoute", spec)


def config(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    return resource("GatewayConfig", members)


def compiled(*documents: dict[str, Any]) -> Compiled:
    return compile_documents([GATEWAY, *documents])


def errors(*documents: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item.field_path, item.message) for item in compiled(*documents).errors]


@pytest.mark.parametrize("kind", ["MCPRoute", "QuotaPolicy"])
def test_a_kind_is_refused_by_name(kind: str) -> None:
    value = route() if kind == "MCPRoute" else resource(kind, {})
    assert errors(value) == [("kind", f"{kind} of {AIGW} is not supported yet")]


def test_what_only_means_something_in_a_cluster_is_a_warning() -> None:
    container = {"resources": {"requests": {"cpu": "1"}}}
    result = compiled(config(extProc={"kubernetes": container}))
    assert [(item.severity, item.field_path) for item in result.diagnostics] == [
        (Severity.WARNING, "spec.extProc.kubernetes")
    ]


def test_an_empty_gateway_config_is_fine() -> None:
    assert not compiled(config()).diagnostics


def test_a_gateway_that_names_no_existing_config_is_told() -> None:
    (finding,) = compiled().diagnostics
    assert finding.severity is Severity.WARNING
    assert "GatewayConfig default/config" in finding.message


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (route(path="mcp"), "spec.path"),
        (route(parentRefs=[{"name": "ai", "group": "x"}]), "spec.parentRefs[0].group"),
        (
            route(headers=[{"name": "a", "value": "(", "type": "RegularExpression"}]),
            "spec.headers[0].value",
        ),
        (route(backendRefs=[{**SERVER, "path": "mcp"}]), "spec.backendRefs[0].path"),
        (route(backendRefs=[{**SERVER, "kind": "Pod"}]), "spec.backendRefs[0]"),
        (route(backendRefs=[{**SERVER, "namespace": "other"}]), "spec.backendRefs[0].namespace"),
        (
            route(backendRefs=[{**SERVER, "toolSelector": {"includeRegex": ["("]}}]),
            "spec.backendRefs[0].toolSelector.includeRegex",
        ),
        (
            route(backendRefs=[{**SERVER, "securityPolicy": {"apiKey": {"inline": ""}}}]),
            "spec.backendRefs[0].securityPolicy.apiKey.inline",
        ),
        (
            route(backendSelector={"rules": [{"cel": "request."}]}),
            "spec.backendSelector.rules[0].cel",
        ),
        (
            route(securityPolicy={"authorization": {"rules": [{"cel": "("}]}}),
            "spec.securityPolicy.authorization.rules[0].cel",
        ),
        (
            route(
                securityPolicy={
                    "authorization": {
                        "rules": [{"target": {"tools": [{"backend": "nobody", "tool": "t"}]}}]
                    }
                }
            ),
            "spec.securityPolicy.authorization.rules[0].target.tools[0].backend",
        ),
        (
            resource(
                "QuotaPolicy",
                {"perModelQuotas": [{"modelName": "m", "quota": {"costExpression": "1 +"}}]},
            ),
            "spec.perModelQuotas[0].quota.costExpression",
        ),
        (
            resource(
                "QuotaPolicy",
                {
                    "serviceQuota": {
                        "costExpression": ")",
                        "quota": {"limit": 1, "duration": "1s"},
                    }
                },
            ),
            "spec.serviceQuota.costExpression",
        ),
        (config(forwardProxy={"address": "nonsense"}), "spec.forwardProxy.address"),
        (config(forwardProxy={"address": "::1:3128"}), "spec.forwardProxy.address"),
        (config(forwardProxy={"address": "a:99999"}), "spec.forwardProxy.address"),
    ],
)
def test_what_cannot_work_is_named(value: dict[str, Any], path: str) -> None:
    assert path in [place for place, _ in errors(value)]


@pytest.mark.parametrize("address", ["[::1]:3128", "proxy:1", "10.0.0.1:65535"])
def test_addresses_of_proxies(address: str) -> None:
    assert not errors(config(forwardProxy={"address": address}))
