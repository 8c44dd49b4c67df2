"""Discovery responses, one per xDS file: what is in them, and how they are written."""

import hashlib
import json
from typing import cast

from aigw.render.envoy.names import TYPE, Json


def response(type_name: str, resources: list[Json]) -> Json:
    """The resources of one type."""
    return {"resources": [{"@type": TYPE + type_name, **resource} for resource in resources]}


def resources_of(found: Json) -> list[Json]:
    """The resources of a response."""
    return cast("list[Json]", found["resources"])


def joined(old: Json, new: Json) -> Json:
    """What is in either; of the same name that of `new`."""
    by_name = {resource["name"]: resource for resource in resources_of(old)}
    by_name |= {resource["name"]: resource for resource in resources_of(new)}
    if len(by_name) == len(resources_of(new)):
        return new
    return {"resources": list(by_name.values())}


def written(found: Json) -> tuple[bytes, str]:
    """The text of a file, and the version in it: a hash of the resources."""
    resources = as_text(found["resources"])
    version = hashlib.sha256(resources).hexdigest()[:16]
    return b'{"version_info":"%s","resources":%s}' % (version.encode(), resources), version


def as_text(value: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
