"""Plain HTTP routes: what is proxied as it is, beside the API of the gateway.

Names of headers are lower case.
"""

from dataclasses import dataclass
from enum import StrEnum

from aigw.plan.endpoint import Endpoint
from aigw.plan.header_match import HeaderMatch, MatchType
from aigw.plan.tls import Tls


class PathType(StrEnum):
    """How a path is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"
    PREFIX = "PathPrefix"


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A condition on the path without its query.

    A prefix has no slash at its end, ends at a slash of the path, and is empty for all paths.
    Expressions match the whole path.
    """

    type: PathType
    value: str


@dataclass(frozen=True, slots=True)
class QueryMatch:
    """A condition on a parameter of the query; expressions match the whole value."""

    name: str
    value: str
    type: MatchType = MatchType.EXACT


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """All conditions must hold; then the rule with id `rule` takes the request.

    `security` is a key of `Plan.security`, or empty.
    """

    path: PathMatch
    rule: str
    method: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    security: str = ""


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Changes of the headers of a request or a reply."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class PathChange(StrEnum):
    """What of a path is replaced."""

    FULL = "ReplaceFullPath"
    PREFIX = "ReplacePrefixMatch"
    EXPRESSION = "ReplaceRegexMatch"


@dataclass(frozen=True, slots=True)
class PathRewrite:
    """A new path; `pattern` says what `EXPRESSION` replaces, `value` may name its groups."""

    change: PathChange
    value: str
    pattern: str = ""


class HostSource(StrEnum):
    """Where the host of a forwarded request comes from."""

    CLIENT = "client"
    LITERAL = "literal"
    HEADER = "header"
    BACKEND = "backend"


@dataclass(frozen=True, slots=True)
class HostRewrite:
    """The host that a backend sees; `value` is the name, or the name of a header."""

    source: HostSource = HostSource.CLIENT
    value: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A backend by its key in `Plan.http_backends`, with its relative weight (at least 1)."""

    backend: str
    weight: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """A backend that gets a copy of some requests; its replies are thrown away."""

    backend: str
    numerator: int = 1
    denominator: int = 1


@dataclass(frozen=True, slots=True)
class HttpRetry:
    """Repeats a request after a failed connection or one of the status codes."""

    attempts: int
    status_codes: tuple[int, ...] = ()
    back_off_ms: int = 25


@dataclass(frozen=True, slots=True)
class Forward:
    """Sends a request on. 0 milliseconds means no limit; without shares nobody can take it."""

    shares: tuple[Share, ...]
    host: HostRewrite = HostRewrite()
    path: PathRewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    request_ms: int = 0
    attempt_ms: int = 0
    retry: HttpRetry | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends a client elsewhere; what is empty or 0 stays as it was in the request."""

    status: int
    scheme: str = ""
    hostname: str = ""
    port: int = 0
    path: PathRewrite | None = None


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answers a request."""

    status: int
    body: str = ""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class HttpRule:
    """What is done with requests of one rule of an HTTPRoute.

    `id` is `<ns>/<route>/http/<i>`, `route` is `<ns>/<route>`.
    """

    id: str
    route: str
    action: Forward | Redirect | DirectResponse
    request_headers: HeaderChanges = HeaderChanges()
    response_headers: HeaderChanges = HeaderChanges()


@dataclass(frozen=True, slots=True)
class HttpBackend:
    """Servers behind plain routes.

    `name` is the `<ns>/<name>` of the Backend, and ends in `@<ns>/<gateway>` where another Gateway
    reaches it in another way. `http2`: plain HTTP/2 without an upgrade.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    tls: Tls | None = None
    http2: bool = False
