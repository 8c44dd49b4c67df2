"""A condition on a text. Shape of Envoy Gateway's StringMatch."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.model import ApiModel


class StringMatch(ApiModel):
    """How a text is compared, and with what."""

    type: Literal["Exact", "Prefix", "Suffix", "RegularExpression"] = "Exact"
    value: Annotated[str, Field(min_length=1, max_length=1024)]
