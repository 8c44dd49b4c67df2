"""Which requests a limit counts. Shapes of Envoy Gateway's RateLimitSelectCondition."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import Boolean
from aigw.api.model import ApiModel, Rule

Name = Annotated[str, Field(min_length=1, max_length=256)]
Value = Annotated[str, Field(max_length=1024)]


class NamedMatch(ApiModel):
    """A header or a query parameter."""

    invert: Boolean = False
    name: Name
    type: Literal["Exact", "RegularExpression", "Distinct"] = "Exact"
    """Distinct: one bucket for each value."""
    value: Value | None = None


class MethodMatch(ApiModel):
    """A method."""

    invert: Boolean = False
    value: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


class PathMatch(ApiModel):
    """The path."""

    invert: Boolean = False
    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: Value = "/"


class SourceMatch(ApiModel):
    """The address of the client."""

    invert: Boolean = False
    type: Literal["Exact", "Distinct"] = "Exact"
    value: Name


class RateLimitSelectCondition(ApiModel):
    """Conditions that must all hold."""

    RULES = (
        Rule(
            "EG-17",
            "has(self.headers) || has(self.methods) || has(self.path) || has(self.sourceCIDR) || "
            "has(self.queryParams)",
            "at least one of headers, methods, path, sourceCIDR or queryParams must be specified",
        ),
    )

    headers: Annotated[list[NamedMatch], Field(max_length=64)] | None = None
    methods: list[MethodMatch] | None = None
    path: PathMatch | None = None
    query_params: Annotated[list[NamedMatch], Field(max_length=16)] | None = None
    source_cidr: Annotated[SourceMatch | None, Field(alias="sourceCIDR")] = None
