"""A broken part is named and left out; everything else is served."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled
from beds.documents import Document, compile_documents

EXAMPLES = Path(__file__).parents[2] / "examples"

HEAD = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ai}
spec:
  gatewayClassName: c
  listeners: [{name: http, port: 1975, protocol: HTTP}]
  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: ai}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: ai}
spec:
  provider: {type: Host}
  logging: {level: {default: error}}
  telemetry:
    accessLog:
      settings:
        - sinks: [{type: File, file: {path: /dev/null}}]
          format: {type: JSON, json: {code: "%RESPONSE_CODE%"}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: ai}]
  llmRequestCosts: [{metadataKey: tokens, type: TotalToken}]
  rules:
    - matches: [{headers: [{name: x-ai-eg-model, value: both}]}]
      backendRefs: [{name: good}, {name: odd, priority: 1}]
    - matches: [{headers: [{name: x-ai-eg-model, value: odd}]}]
      backendRefs: [{name: odd}]
    - matches: [{headers: [{name: x-ai-eg-model, value: good}]}]
      backendRefs: [{name: good}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: good}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: good}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: good}
spec: {endpoints: [{fqdn: {hostname: good.example, port: 443}}]}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: odd}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: odd}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: odd}
spec: {endpoints: [{fqdn: {hostname: odd.example, port: 443}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: odd}
spec:
  targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: odd}]
  validation: {hostname: odd.example, wellKnownCACertificates: System}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: BackendSecurityPolicy
metadata: {name: odd}
spec:
  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: odd}]
  type: APIKey
  apiKey: {secretRef: {name: odd}}
---
apiVersion: v1
kind: Secret
metadata: {name: odd}
stringData: {apiKey: canary-key}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: chat}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: chat}]
  retry: {numRetries: 3, retryOn: {triggers: [reset]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: ai}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: ai}]
  connection: {bufferLimit: 50Mi}
"""
DOCUMENTS: list[Document] = list(yaml.safe_load_all(HEAD))
KEYS = [(document["kind"], document["metadata"]["name"]) for document in DOCUMENTS]


def compiled(documents: list[Document]) -> Compiled:
    """Compiles documents."""
    environment = Environment({}, lambda path: Path(path).read_text("utf-8"))
    return compile_documents(documents, environment)


def changed(kind: str, name: str, **spec: Any) -> list[Document]:  # noqa: ANN401
    """All documents, with members of one spec replaced (None removes the document)."""
    return [
        {**document, "spec": {**document["spec"], **spec}} if key == (kind, name) else document
        for key, document in zip(KEYS, DOCUMENTS, strict=True)
    ]


def without(kind: str, name: str) -> list[Document]:
    """All documents but one."""
    return [d for key, d in zip(KEYS, DOCUMENTS, strict=True) if key != (kind, name)]


def test_the_whole_configuration_compiles() -> None:
    result = compiled(DOCUMENTS)
    assert result.diagnostics == ()
    assert result.plan is not None
    assert len(result.plan.backends) == 4


BROKEN: dict[str, tuple[list[Document], str, str]] = {
    "a missing backend": (
        without("AIServiceBackend", "odd"),
        "AIGatewayRoute default/chat",
        "AIServiceBackend odd.default not found",
    ),
    "a backend with an unknown field": (
        changed("AIServiceBackend", "odd", colour=1),
        "AIServiceBackend default/odd",
        "unknown field",
    ),
    "a missing address": (
        without("Backend", "odd"),
        "AIServiceBackend default/odd",
        "Backend default/odd not found",
    ),
    "a broken address": (
        changed("Backend", "odd", endpoints=[]),
        "Backend default/odd",
        "at least 1 item",
    ),
    "WebSockets": (
        changed("Backend", "odd", appProtocols=["gateway.envoyproxy.io/ws"]),
        "Backend default/odd",
        "not supported",
    ),
    "a broken TLS policy": (
        changed("BackendTLSPolicy", "odd", validation={"hostname": "odd.example"}),
        "BackendTLSPolicy default/odd",
        "must specify either",
    ),
    "a missing secret": (
        without("Secret", "odd"),
        "BackendSecurityPolicy default/odd",
        "Secret default/odd not found",
    ),
    "a missing client secret": (
        changed(
            "BackendSecurityPolicy",
            "odd",
            type="AzureCredentials",
            apiKey=None,
            azureCredentials={"clientID": "c", "tenantID": "t", "clientSecretRef": {"name": "s"}},
        ),
        "BackendSecurityPolicy default/odd",
        "Secret default/s not found",
    ),
    "a credential override": (
        changed(
            "BackendSecurityPolicy",
            "odd",
            credentialOverride={"fromRequestHeaders": {"header": "Host"}},
        ),
        "BackendSecurityPolicy default/odd",
        "cannot bring a credential",
    ),
    "a protected header": (
        changed("AIServiceBackend", "odd", headerMutation={"remove": ["Content-Length"]}),
        "AIServiceBackend default/odd",
        "owned by the gateway",
    ),
    "a value that is broken JSON": (
        changed(
            "AIServiceBackend", "odd", bodyMutation={"set": [{"path": "a", "value": "{broken}"}]}
        ),
        "AIServiceBackend default/odd",
        "not valid",
    ),
    "an address in another namespace": (
        changed(
            "AIServiceBackend",
            "odd",
            backendRef={
                "group": "gateway.envoyproxy.io",
                "kind": "Backend",
                "name": "odd",
                "namespace": "other",
            },
        ),
        "AIGatewayRoute default/chat",
        "another namespace",
    ),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_backend_is_named_and_only_it_is_left_out(case: str) -> None:
    documents, resource, part = BROKEN[case]
    result = compiled(documents)
    assert any(str(item.resource) == resource and part in item.message for item in result.errors)
    plan = result.plan
    assert plan is not None
    assert {backend.backend for backend in plan.backends.values()} == {"default/good"}
    assert len(plan.rules["default/chat/rule/0"].groups) == 1
    assert plan.rules["default/chat/rule/1"].groups == ()
    assert "odd" not in {model.name for model in plan.gateways["default/ai"].models.everywhere}
    assert "canary-key" not in " ".join(map(str, result.diagnostics))


def test_two_policies_for_one_backend_leave_it_out() -> None:
    second = json.loads(json.dumps(DOCUMENTS[KEYS.index(("BackendSecurityPolicy", "odd"))]))
    second["metadata"]["name"] = "second"
    result = compiled([*DOCUMENTS, second])
    assert result.plan is not None
    assert {item.backend for item in result.plan.backends.values()} == {"default/good"}
    assert any("multiple BackendSecurityPolicies found" in item.message for item in result.errors)


def test_a_broken_expression_takes_out_its_match_only() -> None:
    match = {"name": "x-ai-eg-model", "value": "(", "type": "RegularExpression"}
    rules = [
        {"matches": [{"headers": [match]}], "backendRefs": [{"name": "good"}]},
        {"backendRefs": [{"name": "good"}]},
    ]
    result = compiled(changed("AIGatewayRoute", "chat", rules=rules))
    assert result.plan is not None
    (host,) = result.plan.ports[0].listeners[0].virtual_hosts
    assert [item.rule for item in host.matches] == ["default/chat/rule/1"]
    assert [item.field_path for item in result.errors] == [
        "spec.rules[0].matches[0].headers[0].value"
    ]


def test_a_cross_namespace_reference_is_refused() -> None:
    rules = [{"backendRefs": [{"name": "good", "namespace": "other"}]}]
    result = compiled(changed("AIGatewayRoute", "chat", rules=rules))
    assert any(
        item.message.startswith(
            "cross-namespace reference from AIGatewayRoute in namespace default"
        )
        for item in result.errors
    )


@pytest.mark.parametrize(
    ("kind", "spec"),
    [("SecurityPolicy", {"jwt": {}}), ("BackendTrafficPolicy", {"rateLimit": {}})],
)
@pytest.mark.parametrize("target", [("HTTPRoute", "chat"), ("Gateway", "ai")])
def test_a_route_is_not_served_without_the_policy_that_protects_it(
    kind: str, spec: Document, target: tuple[str, str]
) -> None:
    ref = {"group": "gateway.networking.k8s.io", "kind": target[0], "name": target[1]}
    guard = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "guard"},
        "spec": {**spec, "targetRefs": [ref]},
    }
    result = compiled([*DOCUMENTS, guard])
    assert result.plan is not None
    assert result.plan.backends == {}
    assert {rule.groups for rule in result.plan.rules.values()} == {()}
    assert any("cannot be enforced" in item.message for item in result.errors)


def test_a_port_belongs_to_one_gateway() -> None:
    second = {**DOCUMENTS[0], "metadata": {"name": "zz"}}
    result = compiled([second, *DOCUMENTS])
    (error,) = result.errors
    assert error.field_path == "spec.listeners[0].port"
    assert "belongs to Gateway default/ai already" in error.message
    assert result.plan is not None
    assert [*result.plan.gateways] == ["default/ai"]
