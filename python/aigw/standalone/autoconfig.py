"""Configuration without a file: from provider keys in the environment, or for the demo.

The result is the same YAML that a user would write, so it goes through the same compiler.
Keys stay references to variables; they are read where every other Secret is.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from aigw.standalone.errors import RunError
from aigw.standalone.hosts import host_name

DEFAULT_PORT = 1975
ANTHROPIC_MODELS = "claude-.*"
OPENAI_MODELS = "(gpt|chatgpt|o[0-9]|codex|omni|text-embedding|tts|whisper|dall-e|sora)[-.0-9a-z]*"
"""Where another provider takes everything else."""
_AZURE_VARIABLES = ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION")
_PORTS = {"http": 80, "https": 443}
_GROUP = "aigateway.envoyproxy.io"

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Provider:
    """One generated backend.

    `models` is a regular expression over model names; `key_variable` names the variable that
    holds the key, `headers` are set on every request, `version` is that of Azure's API.
    """

    name: str
    schema: str
    base_url: str
    models: str
    policy: tuple[str, str] | None = None
    key_variable: str | None = None
    headers: Mapping[str, str] | None = None
    version: str = ""


def providers_of(environment: Mapping[str, str]) -> tuple[Provider, ...]:
    """The providers for which there is a key, in the order in which their models are tried.

    `claude-*` goes to Anthropic, everything else to OpenAI, or to Azure where both have a key.
    `AIGW_DEFAULT_BACKEND` names another one for everything else.

    Raises:
        RunError: a variable that belongs to a key is missing, or names no provider.
    """
    found = [*_anthropic(environment), *_openai_or_azure(environment)]
    default = environment.get("AIGW_DEFAULT_BACKEND") or (found[-1].name if found else "")
    if found and default not in {provider.name for provider in found}:
        names = " and ".join(provider.name for provider in found)
        message = f"AIGW_DEFAULT_BACKEND: {default} is not a provider with a key, only {names}"
        raise RunError(message)
    found.sort(key=lambda provider: provider.name == default)
    return tuple(
        replace(provider, models=".*") if provider.name == default else provider
        for provider in found
    )


def _anthropic(environment: Mapping[str, str]) -> Iterator[Provider]:
    if environment.get("ANTHROPIC_API_KEY"):
        url = environment.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com/v1"
        policy = ("AnthropicAPIKey", "anthropicAPIKey")
        yield Provider("anthropic", "Anthropic", url, ANTHROPIC_MODELS, policy, "ANTHROPIC_API_KEY")


def _openai_or_azure(environment: Mapping[str, str]) -> Iterator[Provider]:
    headers = _openai_headers(environment)
    if environment.get("AZURE_OPENAI_API_KEY"):
        url, version = (_azure(environment, name) for name in _AZURE_VARIABLES)
        policy = ("AzureAPIKey", "azureAPIKey")
        key = "AZURE_OPENAI_API_KEY"
        yield Provider("openai", "AzureOpenAI", url, OPENAI_MODELS, policy, key, headers, version)
    elif environment.get("OPENAI_API_KEY"):
        url = environment.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        policy = ("APIKey", "apiKey")
        yield Provider("openai", "OpenAI", url, OPENAI_MODELS, policy, "OPENAI_API_KEY", headers)


def _azure(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        message = f"{name} environment variable is required when AZURE_OPENAI_API_KEY is set"
        raise RunError(message)
    return value


def demo_providers(url: str) -> tuple[Provider, ...]:
    """The built-in fake provider behind both APIs."""
    return (
        Provider("demo-anthropic", "Anthropic", f"{url}/v1", ANTHROPIC_MODELS),
        Provider("demo-openai", "OpenAI", f"{url}/v1", ".*"),
    )


def resources(
    providers: tuple[Provider, ...], port: int, telemetry: Sequence[Resource] = ()
) -> list[Resource]:
    """All resources of a generated configuration, in the namespace `default`.

    `telemetry` are further ones; an EnvoyProxy among them is that of the Gateway.

    Raises:
        RunError: a base URL cannot be used.
    """
    return [
        *_gateway(port, [item for item in telemetry if item["kind"] == "EnvoyProxy"]),
        *telemetry,
        *(item for provider in providers for item in _provider(provider)),
        _route(providers),
    ]


def _openai_headers(environment: Mapping[str, str]) -> dict[str, str]:
    names = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}
    return {header: f"${{{name}}}" for name, header in names.items() if environment.get(name)}


def _resource(api: str, kind: str, name: str, spec: Resource) -> Resource:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _gateway(port: int, proxies: Sequence[Resource]) -> Iterator[Resource]:
    gateway_api = "gateway.networking.k8s.io/v1"
    yield {
        "apiVersion": gateway_api,
        "kind": "GatewayClass",
        "metadata": {"name": "aigw-run"},
        "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
    }
    listener = {"name": "http", "protocol": "HTTP", "port": port}
    spec: Resource = {"gatewayClassName": "aigw-run", "listeners": [listener]}
    for proxy in proxies:
        name = proxy["metadata"]["name"]
        reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": name}
        spec["infrastructure"] = {"parametersRef": reference}
    yield _resource(gateway_api, "Gateway", "aigw-run", spec)
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "aigw-run"}
    limit = {"targetRefs": [target], "connection": {"bufferLimit": "50Mi"}}
    yield _resource(
        "gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy", "client-buffer-limit", limit
    )


def _provider(provider: Provider) -> Iterator[Resource]:
    url = _Url.parse(provider.base_url)
    backend: Resource = {"endpoints": [url.endpoint]}
    if url.tls and url.is_ipv6:
        # A policy names its host, and host names have no colons.
        backend["tls"] = {"wellKnownCACertificates": "System"}
    yield _resource("gateway.envoyproxy.io/v1alpha1", "Backend", provider.name, backend)
    if url.tls and not url.is_ipv6:
        target = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": provider.name}
        validation = {"wellKnownCACertificates": "System", "hostname": url.host}
        spec = {"targetRefs": [target], "validation": validation}
        yield _resource(
            "gateway.networking.k8s.io/v1", "BackendTLSPolicy", f"{provider.name}-tls", spec
        )
    reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": provider.name}
    spec = {"schema": _schema(provider, url), "backendRef": reference}
    if provider.headers:
        mutations = [{"name": name, "value": value} for name, value in provider.headers.items()]
        spec["headerMutation"] = {"set": mutations}
    yield _resource(f"{_GROUP}/v1beta1", "AIServiceBackend", provider.name, spec)
    yield from _policy(provider)


def _schema(provider: Provider, url: "_Url") -> Resource:
    """Without a path in the URL the API's usual prefix applies, `v1`."""
    if provider.version:
        return {"name": provider.schema, "version": provider.version.replace("$", "$$")}
    if not url.path:
        return {"name": provider.schema}
    return {"name": provider.schema, "prefix": url.path.replace("$", "$$")}


def _policy(provider: Provider) -> Iterator[Resource]:
    if provider.policy is None:
        return
    kind, member = provider.policy
    name = f"{provider.name}-apikey"
    target = {"group": _GROUP, "kind": "AIServiceBackend", "name": provider.name}
    spec = {"type": kind, "targetRefs": [target], member: {"secretRef": {"name": name}}}
    yield _resource(f"{_GROUP}/v1beta1", "BackendSecurityPolicy", name, spec)
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "stringData": {"apiKey": f"${{{provider.key_variable}}}"},
    }


def _route(providers: tuple[Provider, ...]) -> Resource:
    """One rule per provider. Streams have no total limit; silence is limited instead."""
    rules = [
        {
            "matches": [
                {
                    "headers": [
                        {
                            "type": "RegularExpression",
                            "name": "x-ai-eg-model",
                            "value": provider.models,
                        }
                    ]
                }
            ],
            "backendRefs": [{"name": provider.name}],
            "timeouts": {"request": "0s"},
            "streamIdleTimeout": "5m",
        }
        for provider in providers
    ]
    costs = [
        {"metadataKey": "llm_input_token", "type": "InputToken"},
        {"metadataKey": "llm_output_token", "type": "OutputToken"},
        {"metadataKey": "llm_reasoning_token", "type": "ReasoningToken"},
    ]
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "aigw-run"}
    spec = {"parentRefs": [parent], "rules": rules, "llmRequestCosts": costs}
    return _resource(f"{_GROUP}/v1beta1", "AIGatewayRoute", "aigw-run", spec)


@dataclass(frozen=True, slots=True)
class _Url:
    """The parts of a base URL that a Backend needs; `path` has no slash at either end."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, text: str) -> "_Url":
        """The parts of `text`; errors never show the whole of it, it may hold a password."""
        text = text.strip()
        try:
            parts = urlsplit(text)
            given = parts.port
        except ValueError:
            message = "invalid base URL: its host or port cannot be read"
            raise RunError(message) from None
        if not parts.hostname:
            message = "invalid base URL: missing hostname"
            raise RunError(message)
        shown = f"{parts.scheme}://{parts.hostname}"
        port = _PORTS.get(parts.scheme) if given is None else given
        if port is None or parts.scheme not in _PORTS:
            message = f'invalid base URL {shown}: unsupported scheme "{parts.scheme}"'
            raise RunError(message)
        if fault := _fault(text, parts.username, port):
            message = f"invalid base URL {shown}: {fault}"
            raise RunError(message)
        tls = parts.scheme == "https"
        return cls(_host(parts.hostname, shown), port, parts.path.strip("/"), tls)

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

    @property
    def endpoint(self) -> Resource:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return {"fqdn": {"hostname": self.host, "port": self.port}}
        return {"ip": {"address": self.host, "port": self.port}}


def _fault(text: str, username: str | None, port: int) -> str | None:
    """What a base URL holds that requests could not be sent with."""
    if username is not None:
        return "a name or password in it is not used; the key has a variable of its own"
    if "?" in text or "#" in text:
        return "a query or fragment cannot be part of it"
    if not text.isprintable() or " " in text:
        return "spaces and control characters must be percent-encoded"
    return "0 is not a port" if port == 0 else None


def _host(name: str, shown: str) -> str:
    host = host_name(name)
    if host is None:
        message = f"invalid base URL {shown}: not a host name of letters, digits and hyphens"
        raise RunError(message)
    return host
