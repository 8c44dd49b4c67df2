"""Credentials: what a policy and its Secret must say, and what reaches the core."""

import json

import pytest

from aigw.api.load import Source, load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled, compile_plan
from aigw.plan import GcpServiceAccount, Token
from aigw.render.envoy import render_credentials, render_filter_config

KEY = {
    "type": "service_account",
    "client_email": "a@b",
    "private_key": "secret-key",
    "token_uri": "https://tokens.example/x",
}
RESOURCES = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ai}
spec: {gatewayClassName: c, listeners: [{name: http, port: 1975, protocol: HTTP}]}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: ai}]
  rules:
    - matches: [{headers: [{name: x-ai-eg-model, value: m}]}]
      backendRefs: [{name: gemini}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: gemini}
spec:
  schema: {name: GCPVertexAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: google}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: google}
spec: {endpoints: [{fqdn: {hostname: google.example, port: 443}}]}
"""
POLICY = """
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: BackendSecurityPolicy
metadata: {name: google}
spec:
  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: gemini}]
  type: GCPCredentials
  gcpCredentials: SPEC
"""
FILE = "{projectName: p, region: eu, credentialsFile: {secretRef: {name: key}}}"


def compiled(text: str, key: object = None) -> Compiled:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key"},
        "stringData": {"service_account.json": key if isinstance(key, str) else json.dumps(key)},
    }
    documents = f"{text}\n---\n{json.dumps(secret)}"
    return compile_plan(load([Source("test.yaml", documents)], Environment({}, lambda _: "")))


def test_a_service_account_reaches_the_core_as_a_token_only() -> None:
    plan = compiled(RESOURCES + POLICY.replace("SPEC", FILE), KEY).plan
    assert plan is not None
    assert plan.credentials == {"default/google": GcpServiceAccount(KEY)}
    entry = next(iter(render_filter_config(plan)["backends"].values()))
    want = {"type": "GCPCredentials", "credential": "default/google", "region": "eu"}
    assert entry["auth"] == {**want, "project": "p"}
    assert render_credentials(plan)["credentials"] == {}
    tokens = {"default/google": Token("t-1", 2_000_000_000)}
    assert render_credentials(plan, tokens)["credentials"] == {
        "default/google": {
            "type": "GCPCredentials",
            "access_token": "t-1",
            "expires_at": 2_000_000_000,
        }
    }
    assert "secret-key" not in json.dumps(render_credentials(plan, tokens)) + repr(plan)


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("secret", "is not JSON"),
        ({"type": "authorized_user"}, 'has no "type"'),
        ({**KEY, "private_key": ""}, "lacks private_key"),
        ({**KEY, "token_uri": "ftp://x"}, "token_uri that is no URL"),
    ],
)
def test_a_broken_key_file_is_named_without_its_content(key: object, part: str) -> None:
    result = compiled(RESOURCES + POLICY.replace("SPEC", FILE), key)
    messages = [item.message for item in result.errors]
    assert any(part in message for message in messages), messages
    assert "secret" not in " ".join(messages)


FEDERATION = """
    projectName: p
    region: eu
    workloadIdentityFederationConfig:
      projectID: "1"
      workloadIdentityPoolName: pool
      workloadIdentityProviderName: provider
      oidcExchangeToken:
        oidc:
          provider: {issuer: "https://idp.example"}
          clientID: c
          clientSecret: {name: s}
"""


@pytest.mark.parametrize(
    ("policy", "part"),
    [
        ("", "needs a BackendSecurityPolicy with GCPCredentials"),
        (POLICY.replace("SPEC", "{projectName: p, region: eu}"), "not supported yet"),
        (POLICY.replace("SPEC", FEDERATION), "not supported yet"),
    ],
)
def test_what_is_missing_for_google_is_said(policy: str, part: str) -> None:
    result = compiled(RESOURCES + policy, KEY)
    assert any(part in item.message for item in result.errors), result.errors
