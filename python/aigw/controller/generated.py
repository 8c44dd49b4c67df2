"""Objects that the controller writes: which ones are as they should be, and whose they are."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from aigw.controller.objects import Held
from aigw.controller.view import Generated
from aigw.errors import ResourceId

Json = dict[str, Any]

HASH = "aigateway.envoyproxy.io/applied-hash"
"""Annotation with a hash of what was applied: it tells when fields were taken back."""
_BY_DEFAULT = (
    ("group", "gateway.networking.k8s.io"),
    ("kind", "Gateway"),
    ("type", "Exact"),
    ("type", "Inline"),
    ("type", "PathPrefix"),
    ("weight", 1),
)
"""Members that API servers add. One too few here costs writes that change nothing."""


def complete(generated: Generated, owner: Held) -> Json:
    """The object with its owner and the hash of both."""
    content = generated.content
    reference = {
        "apiVersion": owner.content["apiVersion"],
        "kind": owner.id.kind,
        "name": owner.id.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {**content["metadata"], "ownerReferences": [reference]}
    text = orjson.dumps([metadata, content["spec"]], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(text).hexdigest()[:32]
    metadata["annotations"] = {**metadata.get("annotations", {}), HASH: digest}
    return {**content, "metadata": metadata}


def is_in_place(wanted: Json, live: Json) -> bool:
    """Whether the live object has all that is wanted, and in its spec nothing else.

    Others may add labels and annotations.
    """
    annotations = live.get("metadata", {}).get("annotations") or {}
    digest = wanted["metadata"]["annotations"][HASH]
    return (
        annotations.get(HASH) == digest
        and _contains(live, wanted)
        and not _exceeds(live.get("spec") or {}, wanted["spec"])
    )


def _contains(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    """Whether `wanted` is in `live`, which may have more members.

    Nothing is stored of an empty list.
    """
    if isinstance(wanted, dict):
        return isinstance(live, Mapping) and all(
            _contains(live.get(name, []), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(map(_contains, live, wanted))
        )
    return bool(live == wanted)


def _exceeds(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    """Whether `live`, in which `wanted` is, has members that are neither wanted nor by default."""
    if isinstance(wanted, dict):
        return any(
            _exceeds(value, wanted[name]) if name in wanted else (name, value) not in _BY_DEFAULT
            for name, value in live.items()
        )
    return isinstance(wanted, list) and any(map(_exceeds, live, wanted))


def foreign_fields(wanted: Json, live: Json) -> Json | None:
    """A merge patch that takes off what others have added to a spec outside of lists.

    Applying takes back whole lists, but else fields of our own only.
    """
    spec = _removals(live.get("spec") or {}, wanted["spec"])
    return {"spec": spec} if spec else None


def _removals(live: Json, wanted: Json) -> Json:
    found: Json = {}
    for name, value in live.items():
        if name not in wanted:
            if (name, value) not in _BY_DEFAULT:
                found[name] = None
        elif isinstance(value, dict) and (inner := _removals(value, wanted[name])):
            found[name] = inner
    return found


def filters_of(route: Json) -> Iterator[ResourceId]:
    """HTTPRouteFilters that an HTTPRoute names; they are in its namespace."""
    for rule in route["spec"]["rules"]:
        for item in rule.get("filters", ()):
            if ref := item.get("extensionRef"):
                namespace = route["metadata"]["namespace"]
                yield ResourceId(ref["group"], ref["kind"], namespace, ref["name"])


def controller_of(live: Json) -> str:
    """Uid of the object that controls this one, or nothing."""
    owners = live.get("metadata", {}).get("ownerReferences", ())
    return next((str(item.get("uid", "")) for item in owners if item.get("controller")), "")
