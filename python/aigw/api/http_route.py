"""HTTPRoute: plain proxying of requests that are not for the API of the gateway."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aigw.api.ai_gateway_route import HTTPRouteTimeouts
from aigw.api.fields import Count, Duration, HeaderName, Hostname, Integer, Subdomain, UniqueBy
from aigw.api.header_match import HTTPHeaderMatch
from aigw.api.http_filters import FILTER_RULES, HTTPRouteRuleFilter
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import BackendObjectReference, ParentReference

_CHARACTERS = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
_PLAIN = "(self.type in ['Exact','PathPrefix'])"


def _without(number: int, text: str) -> Rule:
    return Rule(
        f"HR-{number}",
        f"{_PLAIN} ? !self.value.contains('{text}') : true",
        f"must not contain '{text}' when type one of ['Exact', 'PathPrefix']",
    )


def _not_ending(number: int, text: str) -> Rule:
    return Rule(
        f"HR-{number}",
        f"{_PLAIN} ? !self.value.endsWith('{text}') : true",
        f"must not end with '{text}' when type one of ['Exact', 'PathPrefix']",
    )


class HTTPPathMatch(ApiModel):
    """A condition on the path; a prefix ends where a part of the path does."""

    RULES = (
        Rule(
            "HR-40",
            f"{_PLAIN} ? self.value.startsWith('/') : true",
            "value must be an absolute path and start with '/' when type one of "
            "['Exact', 'PathPrefix']",
        ),
        _without(41, "//"),
        _without(42, "/./"),
        _without(43, "/../"),
        _without(44, "%2f"),
        _without(45, "%2F"),
        _without(46, "#"),
        _not_ending(47, "/.."),
        _not_ending(48, "/."),
        Rule(
            "HR-49",
            f'{_PLAIN} ? self.value.matches(r"{_CHARACTERS}") : true',
            f"must only contain valid characters (matching {_CHARACTERS}) for types "
            "['Exact', 'PathPrefix']",
        ),
    )

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: Annotated[str, Field(max_length=1024)] = "/"


class HTTPQueryParamMatch(ApiModel):
    """A condition on a parameter of the query."""

    name: HeaderName
    type: Literal["Exact", "RegularExpression"] = "Exact"
    value: Annotated[str, Field(min_length=1, max_length=1024)]


class HTTPRouteMatch(ApiModel):
    """Conditions that must all hold."""

    path: HTTPPathMatch = Field(default_factory=HTTPPathMatch)
    headers: Annotated[list[HTTPHeaderMatch], Field(max_length=16), UniqueBy("name")] = Field(
        default_factory=list
    )
    query_params: Annotated[list[HTTPQueryParamMatch], Field(max_length=16), UniqueBy("name")] = (
        Field(default_factory=list)
    )
    method: (
        Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
        | None
    ) = None


class HTTPBackendRef(BackendObjectReference):
    """A backend with its share of the requests."""

    NOT_YET = frozenset({"filters"})

    weight: Annotated[Count, Field(le=1_000_000)] = 1
    filters: list[Any] | None = None


class HTTPRouteRetry(ApiModel):
    """When and how often a request is repeated."""

    codes: list[Annotated[Integer, Field(ge=400, le=599)]] = Field(default_factory=list)
    attempts: Count | None = None
    backoff: Duration | None = None


def _prefix_rule(number: int, name: str, member: str) -> Rule:
    changes = (
        f"has(f.{member}) && has(f.{member}.path) && "
        f"f.{member}.path.type == 'ReplacePrefixMatch' && has(f.{member}.path.replacePrefixMatch)"
    )
    return Rule(
        f"HR-{number}",
        f"(has(self.filters) && self.filters.exists_one(f, {changes})) ? "
        "(has(self.matches) && size(self.matches) == 1 && has(self.matches[0].path) && "
        "(!has(self.matches[0].path.type) || self.matches[0].path.type == 'PathPrefix')) : true",
        f"When using {name} filter with path.replacePrefixMatch, exactly one PathPrefix match "
        "must be specified",
    )


class HTTPRouteRule(ApiModel):
    """Matches, and what is done with their requests."""

    NOT_YET = frozenset({"sessionPersistence"})
    RULES = (
        Rule(
            "HR-50",
            "(has(self.backendRefs) && size(self.backendRefs) > 0) ? (!has(self.filters) || "
            "self.filters.all(f, !has(f.requestRedirect))) : true",
            "RequestRedirect filter must not be used together with backendRefs",
        ),
        _prefix_rule(51, "RequestRedirect", "requestRedirect"),
        _prefix_rule(52, "URLRewrite", "urlRewrite"),
        *FILTER_RULES,
    )

    name: Subdomain | None = None
    matches: Annotated[list[HTTPRouteMatch], Field(max_length=64)] = Field(default_factory=list)
    """The rule takes requests for which one of these holds; none: every request."""
    filters: Annotated[list[HTTPRouteRuleFilter], Field(max_length=16)] = Field(
        default_factory=list
    )
    backend_refs: Annotated[list[HTTPBackendRef], Field(max_length=16)] = Field(
        default_factory=list
    )
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None
    session_persistence: dict[str, Any] | None = None


def _matches_of(index: int) -> str:
    rule = f"self[{index}]"
    count = f"(has({rule}.matches) ? {rule}.matches.size() : 0)"
    return f"(self.size() > {index} ? {count} : 0)"


class HTTPRouteSpec(ApiModel):
    """Spec of an HTTPRoute."""

    NOT_YET = frozenset({"useDefaultGateways"})
    RULES = (
        Rule(
            "HR-60",
            "self.all(r, has(r.name) ? self.exists_one(s, has(s.name) && s.name == r.name) : true)",
            "Rule name must be unique within the route",
            field="rules",
        ),
        Rule(
            "HR-61",
            " + ".join(map(_matches_of, range(16))) + " <= 128",
            "While 16 rules and 64 matches per rule are allowed, the total number of matches "
            "across all rules in a route must be less than 128",
            field="rules",
        ),
    )

    parent_refs: Annotated[list[ParentReference], Field(max_length=32)] = Field(
        default_factory=list
    )
    hostnames: Annotated[list[Hostname], Field(max_length=16)] = Field(default_factory=list)
    rules: Annotated[list[HTTPRouteRule], Field(min_length=1, max_length=16)] = Field(
        default_factory=lambda: [HTTPRouteRule()]
    )


class HTTPRoute(Resource):
    """Proxies what it matches as it is."""

    GROUP: ClassVar[str] = "gateway.networking.k8s.io"
    KIND: ClassVar[str] = "HTTPRoute"

    spec: HTTPRouteSpec
