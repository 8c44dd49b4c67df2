"""HTTP proxies of the environment: Envoy does not go through them, and the user hears so."""

import ipaddress
from collections.abc import Mapping

from aigw.plan import AddressKind, Endpoint, Plan

_NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def warning_of(plan: Plan, environment: Mapping[str, str]) -> str | None:
    """What to say where a proxy is named and a provider is not on this machine."""
    names = [name for name in _NAMES if environment.get(name) or environment.get(name.lower())]
    endpoints = (item for backend in plan.backends.values() for item in backend.endpoints)
    if not names or all(_is_here(item) for item in endpoints):
        return None
    return f"{names[0]} is set and has no effect yet: providers are reached directly"


def _is_here(endpoint: Endpoint) -> bool:
    if endpoint.kind is AddressKind.DNS:
        return endpoint.address == "localhost"
    return ipaddress.ip_address(endpoint.address).is_loopback
