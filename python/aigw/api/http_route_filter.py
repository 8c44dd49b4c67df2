"""HTTPRouteFilter: what rules of HTTPRoutes can do beyond their own filters."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import HeaderName, Integer, Text, UniqueBy
from aigw.api.http_filters import HTTPHeader
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import LocalObjectReference


class ReplaceRegexMatch(ApiModel):
    r"""Replaces what an RE2 expression matches; `\1` in the substitution is its first group."""

    pattern: Text
    substitution: str


class HTTPPathRewrite(ApiModel):
    """A new path."""

    RULES = (
        Rule(
            "HRF-1",
            "self.type == 'ReplaceRegexMatch' ? has(self.replaceRegexMatch) : true",
            "If HTTPPathModifier type is ReplaceRegexMatch, replaceRegexMatch field needs to be "
            "set.",
        ),
    )

    type: Literal["ReplaceRegexMatch"]
    replace_regex_match: ReplaceRegexMatch | None = None


class HTTPHostnameRewrite(ApiModel):
    """The host as the backend sees it: that of its endpoint, or the value of a header."""

    RULES = (
        Rule(
            "HRF-2",
            "self.type == 'Header' ? has(self.header) : !has(self.header)",
            "header must be nil if the type is not Header",
        ),
    )

    type: Literal["Header", "Backend"]
    header: HeaderName | None = None


class HTTPURLRewrite(ApiModel):
    """Host and path as the backend sees them."""

    hostname: HTTPHostnameRewrite | None = None
    path: HTTPPathRewrite | None = None


class ResponseBody(ApiModel):
    """A text, or a ConfigMap with one."""

    RULES = (
        Rule(
            "HRF-3",
            "(self.type == 'Inline') == has(self.inline) && "
            "(self.type == 'ValueRef') == has(self.valueRef)",
            "inline must be set for type Inline, valueRef for type ValueRef",
        ),
        Rule(
            "HRF-4",
            "has(self.valueRef) ? self.valueRef.kind == 'ConfigMap' : true",
            "only ConfigMap is supported for ValueRef",
        ),
    )

    type: Literal["Inline", "ValueRef"] = "Inline"
    inline: Annotated[str, Field(min_length=1)] | None = None
    value_ref: LocalObjectReference | None = None


_Headers = Annotated[list[HTTPHeader], Field(max_length=64), UniqueBy("name")]


class ResponseHeaders(ApiModel):
    """Headers of an answer."""

    set: _Headers = Field(default_factory=list)
    add: _Headers = Field(default_factory=list)


class HTTPDirectResponse(ApiModel):
    """An answer without a backend."""

    status_code: Annotated[Integer, Field(ge=200, le=599)] = 200
    content_type: str | None = None
    body: ResponseBody | None = None
    header: ResponseHeaders = Field(default_factory=ResponseHeaders)


class HTTPRouteFilterSpec(ApiModel):
    """Spec of an HTTPRouteFilter."""

    NOT_YET = frozenset({"credentialInjection", "matches"})

    url_rewrite: HTTPURLRewrite | None = None
    direct_response: HTTPDirectResponse | None = None
    credential_injection: dict[str, Any] | None = None
    matches: list[Any] | None = None


class HTTPRouteFilter(Resource):
    """Named by an `ExtensionRef` filter of HTTPRoutes in its namespace."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "HTTPRouteFilter"

    spec: HTTPRouteFilterSpec
