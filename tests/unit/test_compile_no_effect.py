"""What is written and has no effect is named: nothing is ignored in silence."""

from typing import Any

import pytest
import yaml

from aigw.compile.compiler import Compiled
from aigw.errors import Code, Severity
from aigw.plan import Plan
from beds.documents import VERSIONS, Document, compile_documents
from beds.resources import BackendSpec, gateway_yaml, resource, rule

HEAD = gateway_yaml(
    1975,
    [BackendSpec("a", 1)],
    [{**rule("m", "a"), "name": "first"}],
    {**resource("v1", "Secret", "key"), "stringData": {"apiKey": "k"}},
)


def documents(**changes: Document) -> list[Document]:
    """The configuration; `changes` are merged into the spec of a kind."""
    found: list[Document] = list(yaml.safe_load_all(HEAD))
    for document in found:
        document.get("spec", {}).update(changes.get(document["kind"], {}))
    return found


def policy(group: str, kind: str, target: str | None, **spec: Any) -> Document:  # noqa: ANN401
    """A policy; `target` is `Kind/name` or `Kind/name/section`."""
    if target is not None:
        target_kind, name, *section = target.split("/")
        ref = {"group": GROUPS[target_kind], "kind": target_kind, "name": name}
        spec["targetRefs"] = [{**ref, **({"sectionName": section[0]} if section else {})}]
    return resource(f"{group}/{VERSIONS[group]}", kind, "p", **spec)


GROUPS = {
    "AIServiceBackend": "aigateway.envoyproxy.io",
    "Backend": "gateway.envoyproxy.io",
    "Gateway": "gateway.networking.k8s.io",
    "HTTPRoute": "gateway.networking.k8s.io",
    "InferencePool": "inference.networking.k8s.io",
    "Service": "",
}


def security(target: str | None, **spec: Any) -> Document:  # noqa: ANN401
    """A BackendSecurityPolicy."""
    key = {"type": "APIKey", "apiKey": {"secretRef": {"name": "key"}}}
    return policy("aigateway.envoyproxy.io", "BackendSecurityPolicy", target, **{**key, **spec})


def tls(target: str) -> Document:
    """A BackendTLSPolicy."""
    validation = {"hostname": "h", "wellKnownCACertificates": "System"}
    return policy("gateway.networking.k8s.io", "BackendTLSPolicy", target, validation=validation)


def traffic(target: str | None) -> Document:
    """A BackendTrafficPolicy."""
    retry = {"numRetries": 1}
    return policy("gateway.envoyproxy.io", "BackendTrafficPolicy", target, retry=retry)


def client(target: str | None) -> Document:
    """A ClientTrafficPolicy."""
    limit = {"bufferLimit": "1Mi"}
    return policy("gateway.envoyproxy.io", "ClientTrafficPolicy", target, connection=limit)


def proxy(**spec: Any) -> Document:  # noqa: ANN401
    """An EnvoyProxy."""
    return policy("gateway.envoyproxy.io", "EnvoyProxy", None, **spec)


def compiled(*extra: Document, **changes: Document) -> Compiled:
    """The configuration with more documents and changed specs."""
    return compile_documents([*documents(**changes), *extra])


def findings(result: Compiled) -> set[tuple[str, str, str]]:
    """Severity, field path and code of all findings."""
    return {(item.severity.value, item.field_path, item.code.value) for item in result.diagnostics}


def plan(result: Compiled) -> Plan:
    """The plan, which must be there."""
    assert result.plan is not None
    return result.plan


def backends(result: Compiled) -> set[str]:
    """Backends that are served."""
    return {backend.backend for backend in plan(result).backends.values()}


def test_without_faults_nothing_is_said() -> None:
    routed = (
        security("AIServiceBackend/a"),
        traffic("HTTPRoute/route/first"),
        client("Gateway/gw"),
    )
    assert findings(compiled(*routed)) == set()


@pytest.mark.parametrize(
    ("document", "severity", "path", "code"),
    [
        (security("AIServiceBackend/other"), "warning", "spec.targetRefs[0]", Code.NOT_FOUND),
        (security("InferencePool/a"), "error", "spec.targetRefs[0]", Code.UNSUPPORTED),
        (security(None), "warning", "spec.targetRefs", Code.NO_EFFECT),
        (tls("Backend/other"), "warning", "spec.targetRefs[0]", Code.NOT_FOUND),
        (tls("Service/a"), "error", "spec.targetRefs[0]", Code.UNSUPPORTED),
        (traffic("HTTPRoute/other"), "warning", "spec.targetRefs[0]", Code.NOT_FOUND),
        (traffic("HTTPRoute/route/x"), "warning", "spec.targetRefs[0].sectionName", Code.NOT_FOUND),
        (traffic("Gateway/other"), "warning", "spec.targetRefs[0]", Code.NOT_FOUND),
        (traffic("Gateway/gw/http"), "error", "spec.targetRefs[0].sectionName", Code.UNSUPPORTED),
        (traffic(None), "warning", "spec.targetRefs", Code.NO_EFFECT),
        (client("Gateway/other"), "warning", "spec.targetRefs[0]", Code.NOT_FOUND),
        (client(None), "warning", "spec.targetRefs", Code.NO_EFFECT),
        (proxy(), "warning", "", Code.NO_EFFECT),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_a_policy_that_applies_to_nothing_is_named(
    document: Document, severity: str, path: str, code: Code
) -> None:
    result = compiled(document)
    assert findings(result) == {(severity, path, code.value)}
    assert backends(result) == {"default/a"}


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        (
            "AIServiceBackend",
            {"schema": {"name": "OpenAI", "version": "v1"}},
            "spec.schema.version",
        ),
        ("AIServiceBackend", {"schema": {"name": "Cohere", "prefix": "x"}}, "spec.schema.prefix"),
        (
            "AIServiceBackend",
            {"backendRef": {"group": GROUPS["Backend"], "kind": "Backend", "name": "a", "port": 9}},
            "spec.backendRef.port",
        ),
        (
            "AIGatewayRoute",
            {"llmRequestCosts": [{"metadataKey": "k", "type": "InputToken", "cel": "1"}]},
            "spec.llmRequestCosts[0].cel",
        ),
    ],
)
def test_a_field_without_a_meaning_is_named(kind: str, spec: Document, path: str) -> None:
    assert findings(compiled(**{kind: spec})) == {("warning", path, Code.NO_EFFECT.value)}


def condition(**header: str) -> Document:
    """A rule with one condition."""
    return {"matches": [{"headers": [header]}], "backendRefs": [{"name": "a"}]}


def test_a_match_that_an_equal_one_precedes_is_named() -> None:
    rules = [condition(name="x-ai-eg-model", value="m"), condition(name="X-AI-EG-Model", value="m")]
    result = compiled(AIGatewayRoute={"rules": rules})
    assert findings(result) == {("warning", "spec.rules[1].matches", Code.NO_EFFECT.value)}


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "x-envoy-foo", "x-aigw-key"])
def test_a_condition_on_a_header_that_routes_never_see_is_named(name: str) -> None:
    result = compiled(AIGatewayRoute={"rules": [condition(name=name, value="v")]})
    path = "spec.rules[0].matches[0].headers[0].name"
    assert findings(result) == {("warning", path, Code.NO_EFFECT.value)}


def test_a_credential_comes_from_a_secret_only() -> None:
    key = {"secretRef": {"name": "key", "kind": "ConfigMap"}}
    result = compiled(security("AIServiceBackend/a", apiKey=key))
    path = "spec.apiKey.secretRef.kind"
    assert ("error", path, Code.UNSUPPORTED.value) in findings(result)
    assert backends(result) == set()


def test_tls_on_single_ports_leaves_the_backend_out() -> None:
    """Plain text to a port that should have TLS is not an alternative."""
    result = compiled(tls("Backend/a/1"))
    path = "spec.targetRefs[0].sectionName"
    assert ("error", path, Code.UNSUPPORTED.value) in findings(result)
    assert backends(result) == set()


@pytest.mark.parametrize(
    ("kinds", "is_served"),
    [
        ([{"kind": "GRPCRoute"}], False),
        ([{"kind": "GRPCRoute"}, {"kind": "HTTPRoute"}], True),
        ([{"group": "aigateway.envoyproxy.io", "kind": "AIGatewayRoute"}], True),
    ],
)
def test_a_listener_takes_the_kinds_of_routes_that_it_names(
    kinds: list[Document], is_served: bool
) -> None:
    listener = {"name": "http", "port": 1975, "protocol": "HTTP", "allowedRoutes": {"kinds": kinds}}
    assert backends(compiled(Gateway={"listeners": [listener]})) == (
        {"default/a"} if is_served else set()
    )


def gateway_class(**reference: str) -> Document:
    """The class of the Gateway."""
    ref = {"group": GROUPS["Backend"], "kind": "EnvoyProxy", "name": "p", **reference}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "aigw"},
        "spec": {"controllerName": "x", "parametersRef": ref},
    }


def test_the_proxy_settings_of_the_class_apply() -> None:
    result = compiled(
        gateway_class(namespace="default"), proxy(logging={"level": {"http": "info"}})
    )
    assert findings(result) == set()
    assert plan(result).gateways["default/gw"].telemetry.log_levels == {"http": "info"}


def test_the_class_says_in_which_namespace_its_parameters_are() -> None:
    result = compiled(gateway_class(), proxy())
    path = "spec.parametersRef.namespace"
    assert ("error", path, Code.INVALID_FIELD.value) in findings(result)


def test_a_version_of_envoy_cannot_be_chosen() -> None:
    provider = {"type": "Host", "host": {"envoyVersion": "1.2.3"}}
    result = compiled(gateway_class(namespace="default"), proxy(provider=provider))
    path = "spec.provider.host.envoyVersion"
    assert findings(result) == {("warning", path, Code.NO_EFFECT.value)}


def test_protection_that_selects_routes_by_labels_may_mean_any() -> None:
    selector = {"group": GROUPS["HTTPRoute"], "kind": "HTTPRoute", "matchLabels": {"a": "b"}}
    guard = policy(
        "gateway.envoyproxy.io", "SecurityPolicy", None, targetSelectors=[selector], jwt={}
    )
    result = compiled(guard)
    assert backends(result) == set()
    assert any(
        item.severity is Severity.ERROR and "protects it" in item.message
        for item in result.diagnostics
    )


@pytest.mark.parametrize("value", ["a\rb", "a\u0001b", "a\u007fb"])
def test_a_header_that_cannot_be_sent_is_refused(value: str) -> None:
    mutation = {"set": [{"name": "x-a", "value": value}]}
    result = compiled(AIServiceBackend={"headerMutation": mutation})
    path = "spec.headerMutation.set[0].value"
    assert ("error", path, Code.INVALID_MUTATION.value) in findings(result)
    assert backends(result) == set()
