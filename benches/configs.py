"""Configurations of the compared gateways: one listener, one provider, the same limits and log.

JSON is YAML too, so nothing here needs a YAML library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

BODY_LIMIT = 50 * 1024 * 1024
OPENAI_MODEL = "bench-openai"
BEDROCK_MODEL = "bench-bedrock"
ENVOY_TYPES = "type.googleapis.com/envoy."
AI_GROUP = "aigateway.envoyproxy.io"
GATEWAY_GROUP = "gateway.networking.k8s.io"
EXTENSION_GROUP = "gateway.envoyproxy.io"
NAME = "bench"
MOST_MATCHES = 128
"""A rule cannot have more."""

LOG_FORMAT = {
    "start": "%START_TIME%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "duration": "%DURATION%",
    "model": "%REQ(X-AI-EG-MODEL)%",
    "backend": "%DYNAMIC_METADATA(io.envoy.ai_gateway:backend_name)%",
    "input_tokens": "%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)%",
    "output_tokens": "%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_output_token)%",
}
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Addresses:
    """Loopback ports and the access log's file of one deployment."""

    listener: int
    provider: int
    access_log: str


def envoy_alone(addresses: Addresses) -> str:
    """Envoy's configuration for plain proxying, with the limits and the log of the gateway."""
    router = _typed("router", "extensions.filters.http.router.v3.Router", {})
    manager = {
        "stat_prefix": NAME,
        "access_log": [_access_log(addresses)],
        "http_filters": [router],
        "route_config": {"name": NAME, "virtual_hosts": [_virtual_host()]},
    }
    kind = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    listener = {
        "name": NAME,
        "address": _socket(addresses.listener),
        "per_connection_buffer_limit_bytes": BODY_LIMIT,
        "filter_chains": [{"filters": [_typed("http", kind, manager)]}],
    }
    resources = {"listeners": [listener], "clusters": [_cluster(addresses.provider)]}
    return json.dumps({"static_resources": resources}, indent=1)


def _virtual_host() -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "120s"}}
    return {
        "name": NAME,
        "domains": ["*"],
        "request_body_buffer_limit": BODY_LIMIT,
        "routes": [route],
    }


def _cluster(port: int) -> Json:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _socket(port)}}]}
    return {
        "name": "provider",
        "type": "STATIC",
        "connect_timeout": "10s",
        "per_connection_buffer_limit_bytes": BODY_LIMIT,
        "load_assignment": {"cluster_name": "provider", "endpoints": [endpoint]},
    }


def _access_log(addresses: Addresses) -> Json:
    config = {"path": addresses.access_log, "log_format": {"json_format": LOG_FORMAT}}
    return _typed("file", "extensions.access_loggers.file.v3.FileAccessLog", config)


def _typed(name: str, kind: str, config: Json) -> Json:
    return {"name": name, "typed_config": {"@type": ENVOY_TYPES + kind, **config}}


def _socket(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def gateway(addresses: Addresses, models: int = 0) -> str:
    """Resources for `aigw run`: an OpenAI and a Bedrock backend on the stand-in provider.

    `models` more of them have routes that come before those of the two that are asked for.
    """
    resources = [
        *_base(addresses),
        *_more_routes(models),
        _route(NAME, [[OPENAI_MODEL], [BEDROCK_MODEL]]),
        _backend(OPENAI_MODEL, {"name": "OpenAI", "prefix": "v1"}),
        *_openai_credential(),
        _backend(BEDROCK_MODEL, {"name": "AWSBedrock"}),
        *_aws_credential(),
    ]
    return "---\n".join(json.dumps(resource, indent=1) + "\n" for resource in resources)


def _base(addresses: Addresses) -> list[Json]:
    log = {
        "format": {"type": "JSON", "json": LOG_FORMAT},
        "sinks": [{"type": "File", "file": {"path": addresses.access_log}}],
    }
    proxy = {
        "provider": {"type": "Host"},
        "logging": {"level": {"default": "error"}},
        "telemetry": {"accessLog": {"settings": [log]}},
    }
    gateway_spec = {
        "gatewayClassName": NAME,
        "listeners": [{"name": "http", "protocol": "HTTP", "port": addresses.listener}],
        "infrastructure": {
            "parametersRef": {"group": EXTENSION_GROUP, "kind": "EnvoyProxy", "name": NAME}
        },
    }
    policy = {
        "targetRefs": [{"group": GATEWAY_GROUP, "kind": "Gateway", "name": NAME}],
        "connection": {"bufferLimit": "50Mi"},
    }
    endpoint = {"ip": {"address": "127.0.0.1", "port": addresses.provider}}
    controller = {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}
    return [
        _resource(f"{GATEWAY_GROUP}/v1", "GatewayClass", NAME, controller),
        _resource(f"{GATEWAY_GROUP}/v1", "Gateway", NAME, gateway_spec),
        _resource(f"{EXTENSION_GROUP}/v1alpha1", "EnvoyProxy", NAME, proxy),
        _resource(f"{EXTENSION_GROUP}/v1alpha1", "ClientTrafficPolicy", NAME, policy),
        _resource(f"{EXTENSION_GROUP}/v1alpha1", "Backend", "provider", {"endpoints": [endpoint]}),
    ]


def _more_routes(models: int) -> list[Json]:
    """Routes for `models` models that nobody asks for; of one age, names decide the order."""
    names = [f"other-{number}" for number in range(models)]
    chunks = [names[begin : begin + MOST_MATCHES] for begin in range(0, models, MOST_MATCHES)]
    return [_route(f"a-{number:03}", [chunk]) for number, chunk in enumerate(chunks)]


def _route(name: str, rules: list[list[str]]) -> Json:
    """Rules by the models that they match."""

    def match(model: str) -> Json:
        return {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": model}]}

    def rule(models: list[str]) -> Json:
        backend = OPENAI_MODEL if models[0].startswith("other-") else models[0]
        return {
            "matches": [match(model) for model in models],
            "backendRefs": [{"name": backend}],
        }

    spec = {
        "parentRefs": [{"group": GATEWAY_GROUP, "kind": "Gateway", "name": NAME}],
        "rules": [rule(models) for models in rules],
        "llmRequestCosts": [
            {"metadataKey": "llm_input_token", "type": "InputToken"},
            {"metadataKey": "llm_output_token", "type": "OutputToken"},
        ],
    }
    return _resource(f"{AI_GROUP}/v1beta1", "AIGatewayRoute", name, spec)


def _backend(name: str, schema: Json) -> Json:
    reference = {"group": EXTENSION_GROUP, "kind": "Backend", "name": "provider"}
    spec = {"schema": schema, "backendRef": reference}
    return _resource(f"{AI_GROUP}/v1beta1", "AIServiceBackend", name, spec)


def _openai_credential() -> list[Json]:
    spec = {"type": "APIKey", "apiKey": {"secretRef": {"name": OPENAI_MODEL}}}
    return [_policy(OPENAI_MODEL, spec), _secret(OPENAI_MODEL, {"apiKey": "sk-bench"})]


def _aws_credential() -> list[Json]:
    file = "[default]\naws_access_key_id = AKIABENCHBENCHBENCH0\naws_secret_access_key = bench\n"
    aws = {"region": "us-east-1", "credentialsFile": {"secretRef": {"name": BEDROCK_MODEL}}}
    policy = _policy(BEDROCK_MODEL, {"type": "AWSCredentials", "awsCredentials": aws})
    return [policy, _secret(BEDROCK_MODEL, {"credentials": file})]


def _policy(name: str, spec: Json) -> Json:
    target = {"group": AI_GROUP, "kind": "AIServiceBackend", "name": name}
    return _resource(
        f"{AI_GROUP}/v1beta1", "BackendSecurityPolicy", name, {"targetRefs": [target], **spec}
    )


def _secret(name: str, data: Json) -> Json:
    secret = _resource("v1", "Secret", name, {})
    del secret["spec"]
    return {**secret, "type": "Opaque", "stringData": data}


def _resource(version: str, kind: str, name: str, spec: Json) -> Json:
    metadata = {"name": name} if kind == "GatewayClass" else {"name": name, "namespace": "default"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
