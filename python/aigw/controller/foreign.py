"""Objects that Envoy Gateway serves, as far as the compiler has to know them.

Listeners, certificates, TLS to backends and the like are Envoy Gateway's in a cluster. What the
compiler would refuse on a single machine is no fault here, so it does not get to see it.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from aigw.compile.security.foreign import WRITTEN

Json = Mapping[str, Any]

_LISTENER = ("name", "hostname", "port", "allowedRoutes")
_HTTP = ("HTTP", "HTTPS")
_TARGETS = frozenset({"targetRef", "targetRefs", "targetSelectors"})
_MEMBER = re.compile(r"spec\.(\w+)")


def as_compiled(document: Json) -> Json:
    """The document without what is not ours to judge."""
    change = _CHANGES.get(str(document.get("kind")))
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return document
    if document.get("kind") == "SecurityPolicy":
        return _policy(document, spec)
    return document if change is None else {**document, "spec": change(spec)}


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


def _policy(document: Json, spec: Json) -> Json:
    """Policies are told apart by all that is written in them but their targets."""
    said = {name: value for name, value in spec.items() if name not in _TARGETS}
    digest = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "annotations": {WRITTEN: digest}}}


def without(document: Json, paths: Iterable[str]) -> Json:
    """The document without the members of its spec that field paths lead to; targets stay."""
    found = {match[1] for path in paths if (match := _MEMBER.match(path))} - _TARGETS
    kept = {name: value for name, value in document["spec"].items() if name not in found}
    return {**document, "spec": kept}


_CHANGES: Mapping[str, Callable[[Json], Json]] = {"Gateway": _gateway, "Backend": _backend}
