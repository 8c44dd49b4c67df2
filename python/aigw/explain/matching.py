"""Which match of a plan takes a request: the order and the comparisons of the data plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from aigw.plan import HeaderMatch, MatchType, Port, RouteMatch, VirtualHost


@dataclass(frozen=True, slots=True)
class Passed:
    """A match that was tried before and does not hold, and the condition that fails."""

    match: RouteMatch
    reason: str


def virtual_host(port: Port, host: str) -> VirtualHost | None:
    """The most specific virtual host of a port for a host name."""
    name = host.lower()
    candidates = [
        found
        for listener in port.listeners
        if _covers(listener.server_name, name)
        for found in listener.virtual_hosts
        if _covers(found.hostname, name)
    ]
    return max(candidates, key=lambda found: _specificity(found.hostname), default=None)


def first_match(
    matches: Sequence[RouteMatch], headers: Mapping[str, str], path: str
) -> tuple[RouteMatch | None, tuple[Passed, ...]]:
    """The match that takes a request, and those before it; header names are lower case."""
    passed: list[Passed] = []
    for match in matches:
        reason = _failing(match, headers, path)
        if reason is None:
            return match, tuple(passed)
        passed.append(Passed(match, reason))
    return None, tuple(passed)


def describe(header: HeaderMatch) -> str:
    """A condition in words."""
    if header.type is MatchType.REGULAR_EXPRESSION:
        return f"{header.name} matches {header.value}"
    return f"{header.name} is {header.value}"


def _failing(match: RouteMatch, headers: Mapping[str, str], path: str) -> str | None:
    if match.paths and path not in match.paths:
        return "is for other endpoints"
    for header in match.headers:
        value = headers.get(header.name)
        if value is None or not _holds(header, value):
            shown = "absent" if value is None else value
            return f"wants that {describe(header)}, it is {shown}"
    return None


def _holds(header: HeaderMatch, value: str) -> bool:
    if header.type is MatchType.EXACT:
        return value == header.value
    try:
        _whole(header.value).validate_python(value)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=1024)
def _whole(expression: str) -> SchemaValidator:
    """The engine that also checks expressions when they are compiled; it has no back-tracking."""
    return SchemaValidator(core_schema.str_schema(pattern=f"^(?:{expression})$"))


def _covers(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _specificity(pattern: str) -> tuple[int, int]:
    if pattern == "*":
        return (0, 0)
    return (1 if pattern.startswith("*.") else 2, len(pattern))
