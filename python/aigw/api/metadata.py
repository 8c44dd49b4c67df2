"""`metadata` of a resource: the parts that matter here; the rest is ignored."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from aigw.api.fields import Label, Subdomain


class ObjectMeta(BaseModel):
    """Name, namespace, labels, annotations and age."""

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        frozen=True,
        defer_build=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )

    name: Subdomain
    namespace: Annotated[Label, Field(max_length=63)] | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str | None = None
