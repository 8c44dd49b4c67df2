"""Objects that Envoy Gateway serves, as far as the compiler has to know them.

Listeners, certificates, TLS to backends and the like are Envoy Gateway's in a cluster. What the
compiler would refuse on a single machine is no fault here, so it does not get to see it.
"""

from collections.abc import Callable, Mapping
from typing import Any

Json = Mapping[str, Any]

_LISTENER = ("name", "hostname", "port", "allowedRoutes")
_HTTP = ("HTTP", "HTTPS")


def as_compiled(document: Json) -> Json:
    """The document without what is not ours to judge."""
    change = _CHANGES.get(str(document.get("kind")))
    spec = document.get("spec")
    if change is None or not isinstance(spec, dict):
        return document
    return {**document, "spec": change(spec)}


def _gateway(spec: Json) -> Json:
    """Listeners that routes of ours can attach to, all of them as plain HTTP."""
    listeners = [
        {"protocol": "HTTP", **{name: item[name] for name in _LISTENER if name in item}}
        for item in spec.get("listeners", ())
        if item.get("protocol") in _HTTP
    ]
    return {"gatewayClassName": spec.get("gatewayClassName"), "listeners": listeners}


def _backend(spec: Json) -> Json:
    return {name: value for name, value in spec.items() if name in ("endpoints", "fallback")}


_CHANGES: Mapping[str, Callable[[Json], Json]] = {"Gateway": _gateway, "Backend": _backend}
