"""Objects as a team applies them to a cluster: Gateways, backends, routes, policies."""

from __future__ import annotations

from typing import Any

from beds.resources import resource

AIGW = "aigateway.envoyproxy.io/v1beta1"
EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io/v1"
Document = dict[str, Any]

LISTENER = {"name": "http", "port": 80, "protocol": "HTTP"}


def gateway(name: str = "edge", **spec: object) -> Document:
    """A Gateway with one listener."""
    return resource(GW, "Gateway", name, gatewayClassName="eg", **{"listeners": [LISTENER], **spec})


def backend(name: str) -> list[Document]:
    """An AIServiceBackend and its Backend."""
    endpoints = [{"fqdn": {"hostname": f"{name}.example.com", "port": 443}}]
    ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    return [
        resource(EG, "Backend", name, endpoints=endpoints),
        resource(AIGW, "AIServiceBackend", name, schema={"name": "OpenAI"}, backendRef=ref),
    ]


def route(name: str, *models: tuple[str, str], parent: str = "edge") -> Document:
    """A route with a rule for each pair of a model and a backend."""
    rules = [
        {
            "matches": [{"headers": [{"name": "x-ai-eg-model", "value": model}]}],
            "backendRefs": [{"name": to}],
        }
        for model, to in models
    ]
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": parent}
    return resource(AIGW, "AIGatewayRoute", name, parentRefs=[ref], rules=rules)


def protected_by(name: str, **spec: object) -> Document:
    """The policy of the route of the same name."""
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}
    return resource(EG, "SecurityPolicy", name, targetRefs=[target], **spec)
