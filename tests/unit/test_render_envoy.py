"""Rendered Envoy configurations, read by the real binary."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aigw.api.secret_sources import Environment
from aigw.errors import RenderError
from aigw.plan import Model, ModelLists, Plan
from aigw.render.envoy import DataPlane, EnvoyTarget, render_envoy, self_contained
from aigw.render.envoy.local_replies import models_on_offer
from beds.documents import compile_documents
from beds.plain_routes import PLAIN_ROUTES
from beds.rendering import authorities, module_path, target, validate

__all__ = ["authorities", "module_path"]

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CANARY = "canary-secret-value"
ROUTES = "rds/default_ai_http.json"

EXPRESSION = "{name: x-ai-eg-model, type: RegularExpression, value"

MIXED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ai}
spec:
  gatewayClassName: c
  listeners:
    - {name: http, port: 1975, protocol: HTTP}
    - {name: other, port: 1976, protocol: HTTP, hostname: "*.example.com"}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: mixed}
spec:
  parentRefs: [{name: ai}]
  hostnames: [api.example.com, "*.example.com"]
  rules:
    - matches: [{headers: [{name: x-ai-eg-model, value: "%p"}, {name: host, value: "a.b"}]}]
      backendRefs: [{name: plain, weight: 3}, {name: secure}, {name: unchecked, priority: 4}]
      streamIdleTimeout: 10s
    - matches: [{headers: [{name: x-ai-eg-model, type: RegularExpression, value: "(?i)m.*"}]}]
      backendRefs: [{name: missing}]
    - backendRefs: [{name: address}]
      timeouts: {request: 0s, backendRequest: 1m}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: plain}
spec:
  endpoints:
    - fqdn: {hostname: a.internal, port: 80}
    - fqdn: {hostname: b.internal, port: 81}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: secure}
spec:
  endpoints: [{fqdn: {hostname: secure.internal, port: 443}}]
  tls: {wellKnownCACertificates: System}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: unchecked}
spec:
  endpoints: [{fqdn: {hostname: unchecked.internal, port: 443}}]
  tls: {insecureSkipVerify: true, sni: other.internal}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: address}
spec:
  endpoints: [{ip: {address: 127.0.0.1, port: 443}}]
  tls: {wellKnownCACertificates: System}
""" + "".join(
    f"""---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {{name: {name}}}
spec:
  schema: {{name: OpenAI}}
  backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: {name}}}
"""
    for name in ("plain", "secure", "unchecked", "address")
)

MANY = MIXED.replace(
    "rules:\n",
    "rules:\n    - matches:\n"
    + "".join(
        f"      - headers: [{{name: x-ai-eg-model, value: 'm{number}'}}]\n" for number in range(100)
    )
    + "      backendRefs: [{name: plain}]\n",
    1,
)

TEXTS = {
    "mixed": MIXED,
    "many": MANY,
    "plain": PLAIN_ROUTES + MIXED,
    "plain beside many": PLAIN_ROUTES + MANY,
    **{path.parent.name: path.read_text("utf-8") for path in EXAMPLES},
}


def plan_of(text: str) -> Plan:
    """The plan of a configuration."""
    environment = Environment(dict.fromkeys(KEYS, CANARY), os.fspath)
    plan = compile_documents(text, environment).plan
    assert plan is not None
    return plan


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_envoy_accepts_the_ext_proc_topology(name: str, tmp_path: Path, authorities: str) -> None:
    config = render_envoy(plan_of(TEXTS[name]), target(tmp_path, DataPlane.EXTPROC, authorities))
    validate(self_contained(config), tmp_path)


def test_envoy_accepts_expressions_for_many_models(tmp_path: Path, authorities: str) -> None:
    models = "|".join(f"model-{number}-of-a-provider" for number in range(150))
    text = MIXED.replace('"(?i)m.*"', f'"{models}"').replace('"%p"', '"(a{1,50}){1,20}"')
    plan = plan_of(text.replace("{name: x-ai-eg-model, value", EXPRESSION, 1))
    config = render_envoy(plan, target(tmp_path, DataPlane.EXTPROC, authorities))
    assert models in json.dumps(dict(config.files))
    validate(self_contained(config), tmp_path)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_envoy_accepts_the_module_topology(
    name: str, tmp_path: Path, authorities: str, module_path: str
) -> None:
    where = target(tmp_path, DataPlane.MODULE, authorities, module_path)
    validate(self_contained(render_envoy(plan_of(TEXTS[name]), where)), tmp_path)


@pytest.mark.parametrize("data_plane", DataPlane)
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_nothing_that_envoy_reads_is_secret(
    name: str, data_plane: DataPlane, tmp_path: Path, authorities: str
) -> None:
    config = render_envoy(plan_of(TEXTS[name]), target(tmp_path, data_plane, authorities))
    assert CANARY not in json.dumps([config.bootstrap, dict(config.files)])


def test_files_are_listed_in_the_order_in_which_they_must_appear(
    tmp_path: Path, authorities: str
) -> None:
    config = render_envoy(plan_of(MIXED), target(tmp_path, DataPlane.EXTPROC, authorities))
    assert list(config.files) == [
        "cds/clusters.json",
        "ecds/tokens.json",
        ROUTES,
        "rds/default_ai_other.json",
        "lds/listeners.json",
    ]


def test_tls_without_authorities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="trusted authorities"):
        render_envoy(plan_of(MIXED), target(tmp_path, DataPlane.EXTPROC, ""))


def test_a_target_names_the_path_that_its_data_plane_needs() -> None:
    with pytest.raises(RenderError, match="module_path"):
        EnvoyTarget(DataPlane.MODULE, "/r", "/x", "/a")


def test_a_failover_is_one_group_per_attempt(tmp_path: Path, authorities: str) -> None:
    text = (
        TEXTS["04-failover"]
        .replace("numRetries: 1", "numRetries: 4")
        .replace("numAttemptsPerPriority: 1", "numAttemptsPerPriority: 2")
    )
    config = render_envoy(plan_of(text), target(tmp_path, DataPlane.MODULE, authorities))
    resources: Any = config.files[ROUTES]["resources"]
    routes = resources[0]["virtual_hosts"][0]["routes"]
    action = next(route["route"] for route in routes if "prefix" in route["match"])
    specifier = action["inline_cluster_specifier_plugin"]["extension"]["typed_config"]
    order = [
        group["clusters"][0]["cluster_name"].split("/")[1] for group in specifier["priority_groups"]
    ]
    assert order == ["openai", "openai", "bedrock", "bedrock"]
    assert action["retry_policy"]["refresh_cluster_on_retry"] is True


def test_a_provider_that_is_asked_again_says_when(tmp_path: Path, authorities: str) -> None:
    """The next provider in a failover need not wait for what the first one says."""
    plan = plan_of(TEXTS["04-failover"])
    config = render_envoy(plan, target(tmp_path, DataPlane.MODULE, authorities))
    resources: Any = config.files[ROUTES]["resources"]
    routes = resources[0]["virtual_hosts"][0]["routes"]
    waits = {
        len(plan.rules[route["name"]].groups): "rate_limited_retry_back_off"
        in route["route"]["retry_policy"]
        for route in routes
        if "route" in route
    }
    assert waits == {1: True, 2: False}


def test_a_host_is_offered_the_models_of_the_closest_pattern() -> None:
    wide, close, free = ((Model(name, "", 0, ""),) for name in ("wide", "close", "free"))
    lists = ModelLists(free, {"*.example": wide, "*.api.example": close}, free)
    hosts = ("x.api.example", "*.api.example", "y.example", "other", "*")
    found = [models_on_offer(lists, host) for host in hosts]
    assert found == [["close"], ["close"], ["wide"], ["free"], ["free"]]
