"""Issuers of tokens, which are part of listeners, while one configuration replaces another."""

import copy
from collections.abc import Iterator
from typing import Any

from aigw.render.envoy.discovery import resources_of
from aigw.render.envoy.names import Json
from aigw.render.envoy.security import JWT_FILTER

_MEMBERS = ("providers", "requirement_map")


def with_tokens(listeners: Json, others: Json) -> Json:
    """Listeners that know also the issuers of others: names tell the content."""
    known = [config for other in resources_of(others) for config in _configs(other)]
    found = copy.deepcopy(listeners)
    for listener in resources_of(found):
        for config in _configs(listener):
            for other in known:
                for member in _MEMBERS:
                    _add(config[member], other[member])
    return found


def _add(names: Json, others: Json) -> None:
    """Behind those that are there: where nothing is new, nothing changes."""
    for name, value in others.items():
        names.setdefault(name, value)


def _configs(listener: Any) -> Iterator[dict[str, Json]]:  # noqa: ANN401 - JSON
    for chain in listener["filter_chains"]:
        for item in chain["filters"]:
            for http in item["typed_config"].get("http_filters", ()):
                if http["name"] == JWT_FILTER:
                    yield http["typed_config"]
