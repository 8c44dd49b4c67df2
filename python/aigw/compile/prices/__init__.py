"""Price lists of providers, as `scripts/prices.py` writes them.

A provider is known by the host of its API, a cloud by the schema as well: its private endpoints
have other names. The files are read when a backend needs them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from aigw.plan import PriceLists

_FOLDER = Path(__file__).parent
_CLOUDS = {
    "AWSAnthropic": "aws",
    "AWSBedrock": "aws",
    "AzureOpenAI": "azure",
    "GCPAnthropic": "google",
    "GCPVertexAI": "google",
}


@lru_cache(maxsize=1024)
def price_list_of(schema: str, host: str) -> str:
    """The id of the list of a provider; empty where there is none."""
    if schema in _CLOUDS:
        return _CLOUDS[schema]
    if "." not in host:
        return ""
    url = f"https://{host.lower()}/"
    return next((name for name, hosts in _hosts().items() if hosts.match(url)), "")


def price_lists(used: Iterable[str]) -> PriceLists:
    """Lists in use, and those behind them."""
    lists: dict[str, Mapping[str, object]] = {}
    for name in sorted(set(used)):
        lists[name] = found = _list(name)
        lists |= {other: _list(other) for other in found.get("fallback", ())}
    return PriceLists(_index()["source"], dict(sorted(lists.items()))) if lists else PriceLists()


@lru_cache(maxsize=1)
def _index() -> Mapping[str, Any]:
    return _read("index")


@lru_cache(maxsize=1)
def _hosts() -> Mapping[str, re.Pattern[str]]:
    return {name: re.compile(host) for name, host in _index()["hosts"].items()}


@lru_cache(maxsize=64)
def _list(name: str) -> Mapping[str, Any]:
    return _read(name)


def _read(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text())
    return found
