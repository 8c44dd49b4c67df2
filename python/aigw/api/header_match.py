"""Conditions on request headers, the same in model and tool routes."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import HeaderName
from aigw.api.model import ApiModel


class HTTPHeaderMatch(ApiModel):
    """One header condition."""

    name: HeaderName
    type: Literal["Exact", "RegularExpression"] = "Exact"
    value: Annotated[str, Field(min_length=1, max_length=4096)]
    """The text, or an RE2 expression that must match all of the value."""
