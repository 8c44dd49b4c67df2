"""Objects that the controller writes: which ones are as they should be, and whose they are."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from aigw.controller.objects import Held
from aigw.controller.view import Generated

Json = dict[str, Any]

HASH = "aigateway.envoyproxy.io/applied-hash"
"""Annotation with a hash of what was applied: it tells when fields were taken back."""


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
    """Whether the live object has all that is wanted, and nothing that was wanted before."""
    annotations = live.get("metadata", {}).get("annotations") or {}
    digest = wanted["metadata"]["annotations"][HASH]
    return annotations.get(HASH) == digest and _contains(live, wanted)


def _contains(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    """Whether `wanted` is in `live`, which may have more members by default.

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


def controller_of(live: Json) -> str:
    """Uid of the object that controls this one, or nothing."""
    owners = live.get("metadata", {}).get("ownerReferences", ())
    return next((str(item.get("uid", "")) for item in owners if item.get("controller")), "")
