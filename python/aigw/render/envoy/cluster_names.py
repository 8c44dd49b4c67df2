"""Names of clusters that tell what is in them.

While a configuration is replaced, routes of the one before still go to clusters by name. So a
cluster that is named after a rule, which an edit may make another rule, gets a hash of its
content behind its name. Names with `@` have one already.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import cast

from aigw.render.envoy.discovery import as_text
from aigw.render.envoy.names import Json

_REFERENCES = frozenset({"cluster", "cluster_name"})


def content_names(clusters: Iterable[Json]) -> Mapping[str, str]:
    """New names of the clusters that need one."""
    return {
        str(cluster["name"]): f"{cluster['name']}@{_hash(cluster)}"
        for cluster in clusters
        if "@" not in str(cluster["name"])
    }


def renamed(cluster: Json, names: Mapping[str, str]) -> Json:
    """A cluster under its new name."""
    name = names.get(str(cluster["name"]))
    if name is None:
        return cluster
    found = {**cluster, "name": name}
    if "load_assignment" in cluster:
        assignment = cast("Json", cluster["load_assignment"])
        found["load_assignment"] = {**assignment, "cluster_name": name}
    return found


def with_references(resource: Json, names: Mapping[str, str]) -> Json:
    """A resource that refers to clusters by their new names."""
    return cast("Json", _replaced("", resource, names)) if names else resource


def _hash(cluster: Json) -> str:
    return hashlib.sha256(as_text(cluster)).hexdigest()[:8]


def _replaced(key: str, value: object, names: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {name: _replaced(name, item, names) for name, item in value.items()}
    if isinstance(value, list):
        if key == "clusters":
            return [_member(item, names) for item in value]
        return [_replaced("", item, names) for item in value]
    if key in _REFERENCES and isinstance(value, str):
        return names.get(value, value)
    return value


def _member(item: object, names: Mapping[str, str]) -> object:
    """A cluster with a weight, which has its name under `name` or `cluster_name`."""
    found = cast("Json", _replaced("", item, names))
    if isinstance(item, dict) and "weight" in item and "name" in item:
        return {**found, "name": names.get(str(item["name"]), item["name"])}
    return found
