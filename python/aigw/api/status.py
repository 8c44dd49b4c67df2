"""Status of our kinds. Only the controller writes it; documents that have one lose it."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import INT64_MAX, CrdSchema, DateTime, Integer, UniqueBy
from aigw.api.model import ApiModel


class Condition(ApiModel):
    """What is known about one aspect of an object."""

    last_transition_time: DateTime
    message: Annotated[str, Field(max_length=32768)]
    observed_generation: (
        Annotated[Integer, Field(ge=0, le=INT64_MAX), CrdSchema({"format": "int64"})] | None
    ) = None
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    status: Literal["True", "False", "Unknown"]
    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]


class Status(ApiModel):
    """Conditions; one at a time, the last one shows in lists."""

    conditions: list[Condition] | None = None


class KeyedStatus(ApiModel):
    """Conditions by type."""

    conditions: Annotated[list[Condition], Field(max_length=8), UniqueBy("type")] | None = None
