"""Issuers of tokens while one configuration replaces another."""

from typing import Any, cast

from aigw.render.envoy.discovery import resources_of
from aigw.render.envoy.names import Json

_MEMBERS = ("providers", "requirement_map")


def with_tokens(known: Json, more: Json) -> Json:
    """Settings that know the issuers of both: names tell the content.

    What is new stands behind what is there: where nothing is new, nothing changes.
    """
    (before,), (after,) = resources_of(known), resources_of(more)
    settings = cast("dict[str, Any]", before["typed_config"])
    others = cast("dict[str, Any]", after["typed_config"])
    both = {name: {**settings[name], **others[name]} for name in _MEMBERS}
    return {"resources": [{**before, "typed_config": {**settings, **both}}]}
