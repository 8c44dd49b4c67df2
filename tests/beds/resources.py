"""Resources of a gateway in front of fake providers, as YAML text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Resource = dict[str, Any]
GROUP = "aigateway.envoyproxy.io"


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend: its provider's port, API, credential and mutations.

    `auth` is the spec of its BackendSecurityPolicy and the data of its Secret, both named as
    the backend.
    """

    name: str
    port: int
    schema: Resource = field(default_factory=lambda: {"name": "OpenAI"})
    auth: tuple[Resource, dict[str, str]] | None = None
    extra: Resource = field(default_factory=dict)
    endpoint: Resource | None = None

    def resources(self) -> list[Resource]:
        """Backend, AIServiceBackend, and policy with Secret."""
        endpoint = self.endpoint or {"ip": {"address": "127.0.0.1", "port": self.port}}
        reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": self.name}
        spec = {"schema": self.schema, "backendRef": reference, **self.extra}
        found = [
            resource("gateway.envoyproxy.io/v1alpha1", "Backend", self.name, endpoints=[endpoint]),
            resource(f"{GROUP}/v1beta1", "AIServiceBackend", self.name, **spec),
        ]
        if self.auth is not None:
            policy, data = self.auth
            target = {"group": GROUP, "kind": "AIServiceBackend", "name": self.name}
            found.append(
                resource(
                    f"{GROUP}/v1beta1",
                    "BackendSecurityPolicy",
                    self.name,
                    targetRefs=[target],
                    **policy,
                )
            )
            found.append({**resource("v1", "Secret", self.name), "stringData": data})
        return found


def api_key(name: str, key: str) -> tuple[Resource, dict[str, str]]:
    """An API key."""
    return {"type": "APIKey", "apiKey": {"secretRef": {"name": name}}}, {"apiKey": key}


def anthropic_key(name: str, key: str) -> tuple[Resource, dict[str, str]]:
    """An Anthropic API key."""
    policy = {"type": "AnthropicAPIKey", "anthropicAPIKey": {"secretRef": {"name": name}}}
    return policy, {"apiKey": key}


def aws_keys(name: str, key_id: str, secret: str) -> tuple[Resource, dict[str, str]]:
    """Static AWS keys for us-east-1."""
    file = {"secretRef": {"name": name}}
    policy = {
        "type": "AWSCredentials",
        "awsCredentials": {"region": "us-east-1", "credentialsFile": file},
    }
    text = f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
    return policy, {"credentials": text}


def resource(api: str, kind: str, name: str, **spec: object) -> Resource:
    """A resource in the namespace `default`."""
    found: Resource = {"apiVersion": api, "kind": kind, "metadata": {"name": name}}
    return {**found, "spec": spec} if spec else found


def rule(model: str | None, *refs: Resource | str, **more: object) -> Resource:
    """A rule for an exact model name, or for everything."""
    match = {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": model}]}
    backends = [{"name": ref} if isinstance(ref, str) else ref for ref in refs]
    found: Resource = {"backendRefs": backends, **more}
    return {"matches": [match], **found} if model else found


def gateway_yaml(
    port: int, backends: list[BackendSpec], rules: list[Resource], *more: Resource
) -> str:
    """A whole configuration: one Gateway, one AIGatewayRoute named `route`."""
    listener = {"name": "http", "protocol": "HTTP", "port": port}
    documents = [
        resource(
            "gateway.networking.k8s.io/v1",
            "Gateway",
            "gw",
            gatewayClassName="aigw",
            listeners=[listener],
        ),
        resource(
            f"{GROUP}/v1beta1",
            "AIGatewayRoute",
            "route",
            parentRefs=[{"name": "gw"}],
            rules=rules,
        ),
        *(item for backend in backends for item in backend.resources()),
        *more,
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)


def retries(count: int, codes: tuple[int, ...] = (429, 500, 503), **retry: object) -> Resource:
    """A BackendTrafficPolicy on the route, one attempt per priority."""
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "route"}
    on = {"httpStatusCodes": list(codes)}
    triggers = retry.pop("triggers", ("connect-failure", "retriable-status-codes"))
    return resource(
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
        "route",
        targetRefs=[target],
        retry={
            "numRetries": count,
            "numAttemptsPerPriority": 1,
            "retryOn": {**on, "triggers": list(triggers)},  # type: ignore[call-overload]
            **retry,
        },
    )
