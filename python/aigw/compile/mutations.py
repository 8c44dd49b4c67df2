"""Mutations of a backend and of a route's reference to it, merged and checked.

The route wins over the backend for both kinds of change: a route's removal beats the backend's
set of the same name, and a route's set beats the backend's removal. Order is stable: the
backend's entries first, then the route's.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aigw.errors import Code, ResourceId
from aigw.plan import BodyMutation, HeaderMutation

if TYPE_CHECKING:
    from aigw.api.mutations import HTTPBodyMutation, HTTPHeaderMutation
    from aigw.compile.report import Report

_PROTECTED = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_PROTECTED_PREFIXES = (":", "x-ai-eg-", "x-envoy-")
# What no header may hold (RFC 9110 section 5.5); Envoy resets the request instead of sending it.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NUMBER = re.compile(r"[-+0-9][-+.0-9eE]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mutation is written."""

    resource: ResourceId
    path: str


def check_headers(mutation: "HTTPHeaderMutation | None", place: Place, report: "Report") -> bool:
    """Whether a header mutation may be applied; names each header that may not be touched."""
    if mutation is None:
        return True
    entries = [(f"set[{i}].name", header.name) for i, header in enumerate(mutation.set)]
    entries += [(f"remove[{i}]", name) for i, name in enumerate(mutation.remove)]
    refused = [(path, name) for path, name in entries if is_protected(name.lower())]
    for path, name in refused:
        message = f"the header {name} is owned by the gateway and cannot be changed"
        report.error(place.resource, Code.PROTECTED_HEADER, f"{place.path}.{path}", message)
    broken = [i for i, header in enumerate(mutation.set) if _CONTROL.search(header.value)]
    for i in broken:
        path = f"{place.path}.set[{i}].value"
        report.error(
            place.resource,
            Code.INVALID_MUTATION,
            path,
            "must be a single line without control characters",
        )
    return not refused and not broken


def check_body(mutation: "HTTPBodyMutation | None", place: Place, report: "Report") -> bool:
    """Whether a body mutation may be applied; names each value that is broken JSON."""
    bad = [
        i
        for i, entry in enumerate(mutation.set if mutation else [])
        if _looks_like_json(entry.value.strip()) and not _is_json(entry.value.strip())
    ]
    for i in bad:
        path = f"{place.path}.set[{i}].value"
        message = "looks like JSON but is not valid; put plain text into double quotes"
        report.error(place.resource, Code.INVALID_MUTATION, path, message)
    return not bad


def merge_headers(
    backend: "HTTPHeaderMutation | None", route: "HTTPHeaderMutation | None"
) -> HeaderMutation:
    """The header changes of both levels; names become lower case."""
    levels = [mutation for mutation in (backend, route) if mutation]
    changes = _merge(
        [([(header.name, header.value) for header in level.set], level.remove) for level in levels],
        str.lower,
    )
    return HeaderMutation(*changes)


def merge_body(
    backend: "HTTPBodyMutation | None", route: "HTTPBodyMutation | None"
) -> BodyMutation:
    """The body changes of both levels."""
    levels = [mutation for mutation in (backend, route) if mutation]
    changes = _merge(
        [([(entry.path, entry.value) for entry in level.set], level.remove) for level in levels],
        str,
    )
    return BodyMutation(*changes)


def _merge(
    levels: list[tuple[list[tuple[str, str]], list[str]]], key: Callable[[str], str]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Later levels win. A name may be removed and set: removals come first."""
    sets: dict[str, str] = {}
    removes: dict[str, None] = {}
    for level_sets, level_removes in levels:
        for name in filter(None, map(key, level_removes)):
            sets.pop(name, None)
            removes[name] = None
        for name, value in level_sets:
            sets[key(name)] = value
    return tuple(sets.items()), tuple(removes)


def is_protected(name: str) -> bool:
    """Whether a header (lower case) belongs to the gateway: framing, routing, internal ones."""
    return name in _PROTECTED or name.startswith(_PROTECTED_PREFIXES)


def _looks_like_json(text: str) -> bool:
    if text in ("true", "false", "null") or _NUMBER.fullmatch(text):
        return True
    return len(text) > 1 and (text[0], text[-1]) in (('"', '"'), ("{", "}"), ("[", "]"))


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(text: str) -> float:
    """NaN and Infinity are not JSON."""
    raise ValueError(text)
