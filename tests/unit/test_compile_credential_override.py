"""credentialOverride: where requests bring credentials, and what cannot work."""

from typing import Any

import pytest
import yaml

from aigw.compile.compiler import Compiled
from aigw.plan import Plan
from aigw.render.envoy import DataPlane, EnvoyTarget, render_envoy, render_filter_config
from beds.documents import compile_documents
from beds.resources import BackendSpec, Resource, api_key, gateway_yaml, resource, rule

SECRET = {"secretRef": {"name": "a"}}
KINDS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "APIKey": ({"apiKey": SECRET}, ["x-aigw-api-key"], "x-aigw-api-key"),
    "AnthropicAPIKey": (
        {"anthropicAPIKey": SECRET},
        ["x-aigw-anthropic-api-key"],
        "x-aigw-anthropic-api-key",
    ),
    "AzureAPIKey": ({"azureAPIKey": SECRET}, ["x-aigw-azure-api-key"], "x-aigw-azure-api-key"),
    "AzureCredentials": (
        {"azureCredentials": {"clientID": "c", "tenantID": "t", "clientSecretRef": {"name": "a"}}},
        ["x-aigw-azure-access-token"],
        "x-aigw-azure-access-token",
    ),
    "GCPCredentials": (
        {"gcpCredentials": {"projectName": "p", "region": "r"}},
        ["x-aigw-gcp-access-token"],
        "x-aigw-gcp-access-token",
    ),
    "AWSCredentials": (
        {"awsCredentials": {"region": "r", "credentialsFile": SECRET}},
        [
            "x-aigw-aws-access-key-id",
            "x-aigw-aws-secret-access-key",
            "x-aigw-aws-session-token",
        ],
        "x-aigw-aws-credentials",
    ),
}


def compiled(policy: dict[str, Any], *more: Resource, headers: list[Resource] | None = None) -> Any:  # noqa: ANN401
    """What becomes of a policy without a Secret."""
    first = BackendSpec("a", 80, auth=(policy, {}))
    rules = [rule("m", "a")]
    rules[0]["matches"][0]["headers"] += headers or []
    text = gateway_yaml(1975, [first], rules, *more)
    return compile_documents(text)


def policy(kind: str, override: dict[str, Any]) -> dict[str, Any]:
    """A policy of this kind."""
    return {"type": kind, **KINDS[kind][0], "credentialOverride": override}


def headers(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    """An override from headers that is not backed by a Secret."""
    return {"fromRequestHeaders": {"fallbackToConfigured": False, **more}}


def metadata(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML value
    """An override from metadata that is not backed by a Secret."""
    return {"fromDynamicMetadata": {"namespace": "n", "fallbackToConfigured": False, **more}}


def plan_of(result: Compiled) -> Plan:
    """The plan of a configuration without errors."""
    assert not result.errors, result.errors
    assert result.plan is not None
    return result.plan


def auth_of(plan: Plan) -> Any:  # noqa: ANN401 - any JSON
    """The credential of the only backend, as the core reads it."""
    document: Any = render_filter_config(plan)
    (entry,) = document["backends"].values()
    return entry["auth"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_has_default_headers_and_needs_no_secret(kind: str) -> None:
    plan = plan_of(compiled(policy(kind, headers())))
    want = {"source": {"headers": KINDS[kind][1]}, "without": "refused"}
    auth = auth_of(plan)
    assert (auth["type"], auth["override"]) == (kind, want)
    assert "credential" not in auth
    assert plan.credentials == {}
    document: Any = render_filter_config(plan)
    assert document["gateways"]["default/gw"]["credential_headers"] == sorted(KINDS[kind][1])


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_has_a_default_key(kind: str) -> None:
    auth = auth_of(plan_of(compiled(policy(kind, metadata()))))
    assert auth["override"]["source"] == {"metadata": {"namespace": "n", "key": KINDS[kind][2]}}


def test_names_are_given_in_any_case_and_for_aws_as_a_start() -> None:
    auth = auth_of(plan_of(compiled(policy("APIKey", headers(header="X-User-Key")))))
    assert auth["override"]["source"] == {"headers": ["x-user-key"]}
    auth = auth_of(plan_of(compiled(policy("AWSCredentials", headers(header="X-My-")))))
    names = ["x-my-access-key-id", "x-my-secret-access-key", "x-my-session-token"]
    assert auth["override"]["source"] == {"headers": names}


def test_a_fallback_is_the_default_and_needs_its_secret() -> None:
    override: dict[str, Any] = {"fromRequestHeaders": {}}
    missing = compiled(policy("APIKey", override))
    assert "Secret default/a has no value" in str(missing.errors[0])
    secret = api_key("a", "k")
    found = BackendSpec("a", 80, auth=({**secret[0], "credentialOverride": override}, secret[1]))
    text = gateway_yaml(1975, [found], [rule("m", "a")])
    plan = plan_of(compile_documents(text))
    auth = auth_of(plan)
    assert (auth["credential"], auth["override"]["without"]) == ("default/a", "configured")


def test_google_without_a_key_is_nothing_to_fall_back_to() -> None:
    for override in (headers(), metadata()):
        member = next(iter(override.values()))
        member["fallbackToConfigured"] = True
        result = compiled(policy("GCPCredentials", override))
        (error,) = result.errors
        assert str(error).endswith(
            "BackendSecurityPolicy default/a: spec.credentialOverride: credentialOverride with "
            "fallbackToConfigured=true requires a static credential to be configured"
        )


@pytest.mark.parametrize(
    "name",
    ["Authorization", "host", ":path", "x-ai-eg-model", "content-type", "x-envoy-a", "a b", "ä"],
)
def test_a_header_that_cannot_bring_a_credential_is_refused(name: str) -> None:
    (error,) = compiled(policy("APIKey", headers(header=name))).errors
    assert error.field_path == "spec.credentialOverride.fromRequestHeaders.header"


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ({"namespace": "a:b"}, "namespace"),
        ({"namespace": "io.envoy.ai_gateway"}, "namespace"),
        ({"key": "a)b"}, "key"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(member: dict[str, str], field: str) -> None:
    (error,) = compiled(policy("APIKey", metadata(**member))).errors
    assert error.field_path == f"spec.credentialOverride.fromDynamicMetadata.{field}"


def test_a_rule_that_waits_for_a_credential_header_is_named() -> None:
    waiting = [{"name": "X-User-Key", "value": "v"}]
    result = compiled(policy("APIKey", headers(header="x-user-key")), headers=waiting)
    messages = [str(item) for item in result.diagnostics]
    assert any("X-User-Key is taken off before" in message for message in messages), messages


def test_envoy_forwards_the_namespaces_of_policies_and_of_the_gateway_config() -> None:
    config = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "GatewayConfig",
        "config",
        extProc={"metadataForwardingNamespaces": ["z.own", "a.own"]},
    )
    annotated = compiled(policy("APIKey", metadata()), config)
    assert plan_of(annotated).metadata_namespaces == ("n",)
    text = gateway_yaml(1975, [BackendSpec("a", 80)], [rule("m", "a")], config)
    documents = list(yaml.safe_load_all(text))
    name = {"aigateway.envoyproxy.io/gateway-config": "config"}
    documents[0]["metadata"]["annotations"] = name
    plan = plan_of(compile_documents(documents))
    assert plan.metadata_namespaces == ("a.own", "z.own")
    target = EnvoyTarget(
        DataPlane.EXTPROC, "/core", "/xds", "/admin.sock", extproc_socket="/extproc.sock"
    )
    files = str(render_envoy(plan, target).files)
    forwarded = "'forwarding_namespaces': {'untyped': ['a.own', 'io.envoy.ai_gateway', 'z.own']}"
    assert files.count(forwarded) == 2
    assert files.count("'receiving_namespaces': {'untyped': ['io.envoy.ai_gateway']}") == 2


def test_headers_are_taken_off_where_a_gateway_has_such_a_backend() -> None:
    own = BackendSpec("own", 80, auth=(policy("APIKey", headers(header="x-own")), {}))
    listener = {"name": "http", "protocol": "HTTP", "port": 1976}
    gateway = resource(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        "other",
        gatewayClassName="aigw",
        listeners=[listener],
    )
    route = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "AIGatewayRoute",
        "other",
        parentRefs=[{"name": "other"}],
        rules=[rule("m", "open")],
    )
    text = gateway_yaml(1975, [own, BackendSpec("open", 80)], [rule("m", "own")], gateway, route)
    plan = plan_of(compile_documents(text))
    found = {name: item.credential_headers for name, item in plan.gateways.items()}
    assert found == {"default/gw": ("x-own",), "default/other": ()}
