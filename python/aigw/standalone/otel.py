"""Access logs of generated configurations, by the standard variables of OpenTelemetry."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from aigw.standalone.errors import RunError
from aigw.standalone.hosts import host_name

Resource = dict[str, Any]

PROXY = "envoy-ai-gateway"
"""Name of the generated EnvoyProxy."""
_LOGS = "OTEL_EXPORTER_OTLP_LOGS_"
_ANY = "OTEL_EXPORTER_OTLP_"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class _Endpoint:
    backend: str
    host: str
    port: int
    tls: bool


def access_logs(environment: Mapping[str, str]) -> list[Resource]:
    """Backend and EnvoyProxy that send logs elsewhere; empty where they go to standard output.

    Raises:
        RunError: a variable cannot be used.
    """
    exporter = environment.get("OTEL_LOGS_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp", "console", "none"):
        message = (
            f'unsupported OTEL_LOGS_EXPORTER value "{exporter}" (allowed: otlp, console, none)'
        )
        raise RunError(message)
    if exporter == "none":
        return [_proxy({"disable": True})]
    endpoint = None if exporter == "console" else _endpoint(environment)
    if endpoint is None:
        if exporter == "otlp":
            message = "invalid OTLP endpoint: empty"
            raise RunError(message)
        return []
    protocol = environment.get(f"{_LOGS}PROTOCOL") or environment.get(f"{_ANY}PROTOCOL") or "grpc"
    if protocol != "grpc":
        message = f'OTEL logs support gRPC protocol only, got "{protocol}"'
        raise RunError(message)
    reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": endpoint.backend}
    sink = {
        "backendRefs": [reference],
        "headers": _headers(environment),
        "resourceAttributes": _resource(environment),
    }
    settings = [{"sinks": [{"type": "OpenTelemetry", "openTelemetry": sink}]}]
    return [_backend(endpoint), _proxy({"settings": settings})]


def _endpoint(environment: Mapping[str, str]) -> _Endpoint | None:
    names = ((f"{_LOGS}ENDPOINT", "otel-logs"), (f"{_ANY}ENDPOINT", "otel"))
    found = next(
        ((environment[name].strip(), backend) for name, backend in names if environment.get(name)),
        None,
    )
    if found is None or not found[0]:
        return None
    return _parsed(*found)


def _parsed(raw: str, backend: str) -> _Endpoint:
    """The parts of a URL; errors never show the name and password that it may hold."""
    scheme, separator, rest = raw.rpartition("://")
    start = f"{scheme}{separator}"
    shown = f'"{start}{rest.rpartition("@")[2]}"'
    try:
        parts = urlsplit(raw if separator else f"http://{raw}")
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        message = f"invalid OTLP endpoint {shown}: its host or port cannot be read"
        raise RunError(message) from None
    host = host_name(parts.hostname or "")
    if fault := _fault(parts, host, port):
        message = f"invalid OTLP endpoint {shown}: {fault}"
        raise RunError(message)
    return _Endpoint(backend, host or "", port or 0, parts.scheme == "https")


def _fault(parts: SplitResult, host: str | None, port: int | None) -> str | None:
    if not parts.hostname:
        return "missing host"
    if parts.scheme not in _PORTS:
        return f"unsupported scheme {parts.scheme}"
    if parts.username is not None:
        return "a name or password in it is not used; headers have a variable of their own"
    if host is None:
        return "not a host name of letters, digits and hyphens"
    return "0 is not a port" if port == 0 else None


def _backend(endpoint: _Endpoint) -> Resource:
    try:
        ipaddress.ip_address(endpoint.host)
        address: Resource = {"ip": {"address": endpoint.host, "port": endpoint.port}}
    except ValueError:
        address = {"fqdn": {"hostname": endpoint.host, "port": endpoint.port}}
    spec: Resource = {"endpoints": [address]}
    if endpoint.tls:
        spec["tls"] = {"wellKnownCACertificates": "System"}
        if "fqdn" in address:
            spec["tls"]["sni"] = endpoint.host
    return _document("Backend", endpoint.backend, spec)


def _proxy(access_log: Resource) -> Resource:
    return _document("EnvoyProxy", PROXY, {"telemetry": {"accessLog": access_log}})


def _document(kind: str, name: str, spec: Resource) -> Resource:
    metadata = {"name": name, "namespace": "default"}
    version = "gateway.envoyproxy.io/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _headers(environment: Mapping[str, str]) -> list[Resource]:
    text = environment.get(f"{_LOGS}HEADERS") or environment.get(f"{_ANY}HEADERS") or ""
    pairs = [(name, unquote(value)) for name, value in _pairs(text) if value]
    for name, value in pairs:
        if not value.isprintable():
            message = f"OTLP headers: the value of {name} has control characters"
            raise RunError(message)
    # Texts of resources may hold variables; these are final.
    return [{"name": name, "value": _plain(value)} for name, value in pairs]


def _resource(environment: Mapping[str, str]) -> dict[str, str]:
    found = {
        name: unquote(value)
        for name, value in _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    }
    if service := environment.get("OTEL_SERVICE_NAME"):
        found["service.name"] = service
    return {name: _plain(value) for name, value in sorted(found.items())}


def _pairs(text: str) -> list[tuple[str, str]]:
    """`a=1,b=2`; what has no name or no `=` is skipped."""
    items = (item.partition("=") for item in text.split(","))
    return [(name.strip(), value.strip()) for name, sign, value in items if sign and name.strip()]


def _plain(text: str) -> str:
    return text.replace("$", "$$")
