"""Which match of a plan takes a request: the order and the comparisons of the data plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from aigw.compile.hosts import covers, specificity
from aigw.plan import HeaderMatch, Listener, MatchType, Port, RouteMatch, VirtualHost

Values = Mapping[str, tuple[str, ...]]
"""Values of headers by name; a condition on a header wants that one of them holds."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A match that was tried before and does not hold, and the condition that fails."""

    match: RouteMatch
    reason: str


def listener_of(port: Port, host: str) -> Listener | None:
    """The listener that clients reach who ask for a host name, also by TLS."""
    found = [item for item in port.listeners if covers(item.server_name, _name(host))]
    return max(found, key=lambda item: specificity(item.server_name), default=None)


def virtual_host(listener: Listener, host: str) -> VirtualHost | None:
    """The most specific virtual host of a listener for a host name."""
    found = [item for item in listener.virtual_hosts if covers(item.hostname, _name(host))]
    return max(found, key=lambda item: specificity(item.hostname), default=None)


def first_match(
    matches: Sequence[RouteMatch], headers: Values, path: str
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


def _failing(match: RouteMatch, headers: Values, path: str) -> str | None:
    if match.paths and path not in match.paths:
        return "is for other endpoints"
    for header in match.headers:
        values = headers.get(header.name, ())
        if not any(_holds(header, value) for value in values):
            shown = " and ".join(values) or "absent"
            return f"wants that {describe(header)}, it is {shown}"
    return None


def _holds(header: HeaderMatch, value: str) -> bool:
    if header.type is MatchType.EXACT:
        return value == header.value
    try:
        _whole(_bytes(header.value)).validate_python(_bytes(value))
    except ValidationError:
        return False
    return True


def _bytes(text: str) -> str:
    """A character for each byte: that is what Envoy's expressions match."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


@lru_cache(maxsize=1024)
def _whole(expression: str) -> SchemaValidator:
    """The engine that also checks expressions when they are compiled; it has no back-tracking."""
    return SchemaValidator(core_schema.str_schema(pattern=f"^(?:{expression})$"))


def _name(host: str) -> str:
    """A host as it is compared: lower case, without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
