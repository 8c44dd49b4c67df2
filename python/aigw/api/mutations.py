"""Header and body mutations, the same on a backend and on a route's reference to it."""

from typing import Annotated

from pydantic import Field

from aigw.api.fields import HeaderName, UniqueBy
from aigw.api.model import ApiModel


class HTTPHeader(ApiModel):
    """A header to set."""

    name: HeaderName
    value: Annotated[str, Field(min_length=1, max_length=4096)]


class HTTPHeaderMutation(ApiModel):
    """Headers to remove, then headers to set."""

    remove: Annotated[list[str], Field(max_length=16), UniqueBy()] = Field(default_factory=list)
    set: Annotated[list[HTTPHeader], Field(max_length=16), UniqueBy("name")] = Field(
        default_factory=list
    )


class HTTPBodyField(ApiModel):
    """A JSON member to set: JSON text, or plain text for a string."""

    path: Annotated[str, Field(min_length=1)]
    value: str


class HTTPBodyMutation(ApiModel):
    """JSON members to remove, then members to set."""

    remove: Annotated[list[str], Field(max_length=16), UniqueBy()] = Field(default_factory=list)
    set: Annotated[list[HTTPBodyField], Field(max_length=16), UniqueBy("path")] = Field(
        default_factory=list
    )
