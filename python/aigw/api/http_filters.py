"""Filters of HTTPRoutes: changes of headers, redirects, rewrites, copies of requests."""

from typing import Annotated, Any, Literal

from pydantic import Field

from aigw.api.fields import Count, HeaderName, Percent, Port, PositiveCount, Subdomain, UniqueBy
from aigw.api.model import ApiModel, Rule
from aigw.api.references import BackendObjectReference, LocalObjectReference

_Path = Annotated[str, Field(max_length=1024)]


class HTTPHeader(ApiModel):
    """A header."""

    name: HeaderName
    value: Annotated[str, Field(min_length=1, max_length=4096)]


_Headers = Annotated[list[HTTPHeader], Field(max_length=16), UniqueBy("name")]


class HTTPHeaderFilter(ApiModel):
    """Changes of headers."""

    set: _Headers = Field(default_factory=list)
    add: _Headers = Field(default_factory=list)
    remove: Annotated[list[str], Field(max_length=16), UniqueBy()] = Field(default_factory=list)


class HTTPPathModifier(ApiModel):
    """A new path, or a new beginning of it."""

    RULES = (
        Rule(
            "HR-1",
            "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) : true",
            "replaceFullPath must be specified when type is set to 'ReplaceFullPath'",
        ),
        Rule(
            "HR-2",
            "has(self.replaceFullPath) ? self.type == 'ReplaceFullPath' : true",
            "type must be 'ReplaceFullPath' when replaceFullPath is set",
        ),
        Rule(
            "HR-3",
            "self.type == 'ReplacePrefixMatch' ? has(self.replacePrefixMatch) : true",
            "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'",
        ),
        Rule(
            "HR-4",
            "has(self.replacePrefixMatch) ? self.type == 'ReplacePrefixMatch' : true",
            "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set",
        ),
    )

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: _Path | None = None
    replace_prefix_match: _Path | None = None


class HTTPRequestRedirectFilter(ApiModel):
    """Where a client is sent; what is absent stays as in the request."""

    scheme: Literal["http", "https"] | None = None
    hostname: Subdomain | None = None
    path: HTTPPathModifier | None = None
    port: Port | None = None
    status_code: Literal[301, 302, 303, 307, 308] = 302


class HTTPURLRewriteFilter(ApiModel):
    """Host and path as the backend sees them."""

    hostname: Subdomain | None = None
    path: HTTPPathModifier | None = None


class Fraction(ApiModel):
    """A share of all requests."""

    RULES = (
        Rule(
            "HR-5",
            "self.numerator <= self.denominator",
            "numerator must be less than or equal to denominator",
        ),
    )

    numerator: Count
    denominator: PositiveCount = 100


class HTTPRequestMirrorFilter(ApiModel):
    """A backend that gets a copy of requests; its replies are thrown away."""

    RULES = (
        Rule(
            "HR-6",
            "!(has(self.percent) && has(self.fraction))",
            "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter",
        ),
    )

    backend_ref: BackendObjectReference
    percent: Percent | None = None
    fraction: Fraction | None = None


def _pairs() -> tuple[Rule, ...]:
    """The member of a filter is there exactly when its type says so."""
    members = (
        ("RequestHeaderModifier", "requestHeaderModifier"),
        ("ResponseHeaderModifier", "responseHeaderModifier"),
        ("RequestMirror", "requestMirror"),
        ("RequestRedirect", "requestRedirect"),
        ("URLRewrite", "urlRewrite"),
        ("ExtensionRef", "extensionRef"),
    )
    rules: list[Rule] = []
    for number, (kind, member) in enumerate(members):
        rules.append(
            Rule(
                f"HR-{10 + 2 * number}",
                f"!(has(self.{member}) && self.type != '{kind}')",
                f"filter.{member} must be nil if the filter.type is not {kind}",
            )
        )
        rules.append(
            Rule(
                f"HR-{11 + 2 * number}",
                f"!(!has(self.{member}) && self.type == '{kind}')",
                f"filter.{member} must be specified for {kind} filter.type",
            )
        )
    return tuple(rules)


class HTTPRouteRuleFilter(ApiModel):
    """One step on the way of a request or its reply."""

    RULES = _pairs()
    NOT_YET = frozenset({"cors", "externalAuth"})

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ]
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    extension_ref: LocalObjectReference | None = None
    cors: dict[str, Any] | None = None
    external_auth: dict[str, Any] | None = None


def once(kind: str, number: int) -> Rule:
    """At most one filter of a type in a list."""
    return Rule(
        f"HR-{number}",
        f"self.filter(f, f.type == '{kind}').size() <= 1",
        f"{kind} filter cannot be repeated",
        field="filters",
    )


FILTER_RULES = (
    Rule(
        "HR-30",
        "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
        "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, "
        "but not both",
        field="filters",
    ),
    once("RequestHeaderModifier", 31),
    once("ResponseHeaderModifier", 32),
    once("RequestRedirect", 33),
    once("URLRewrite", 34),
)
"""Of the list of filters of a rule."""
