"""Base of all resource models: strict fields, rules over several fields, what is not served yet.

The models are the one source of the API: documents are validated by them, and the CRDs of our own
kinds are generated from them (`aigw.api.crd`). So a default tells who fills it in:

    weight: Count = 1                        the API server does; it is part of the CRD
    namespace: Label | None = None           nobody does
    rules: list[Rule] = Field(default_factory=list)    nobody does; absence means this to us

A string after a field is its description in the CRD. What a schema cannot say is a
[`Rule`][aigw.api.rules.Rule] in the model's `RULES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from aigw.api.metadata import ObjectMeta
from aigw.api.rules import Rule
from aigw.errors import ResourceId


class ApiModel(BaseModel):
    """An object of the API. Unknown fields are errors.

    `NOT_YET` names fields that are not implemented: they are refused as such, whether the model
    has them, and so checks them, or not. `CLUSTER_ONLY` names fields that change nothing on a
    single machine: a warning says so. `IGNORED` names fields that had a meaning once: they
    are dropped with a warning. `SCHEMA` is what the CRD says about the object besides.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        defer_build=True,
        populate_by_name=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()
    NOT_YET: ClassVar[frozenset[str]] = frozenset()
    CLUSTER_ONLY: ClassVar[frozenset[str]] = frozenset()
    IGNORED: ClassVar[frozenset[str]] = frozenset()
    SCHEMA: ClassVar[Mapping[str, Any]] = {}

    @property
    def present(self) -> list[str]:
        """Names of the fields that are set."""
        return [name for name in self.model_fields_set if getattr(self, name) is not None]


class Counted(ApiModel):
    """An object with a least and a greatest number of members, by its `SCHEMA`."""

    @model_validator(mode="after")
    def _count(self) -> Self:
        least, most = self.SCHEMA.get("minProperties", 0), self.SCHEMA["maxProperties"]
        count = len(self.present)
        if count < least:
            raise PydanticCustomError(
                "too_few", "should have at least {limit} properties", {"limit": least}
            )
        if count > most:
            raise PydanticCustomError(
                "too_many",
                "too many: {count}: must have at most {limit} items",
                {"count": count, "limit": most},
            )
        return self


@dataclass(frozen=True, slots=True)
class Later:
    """Stands for a large and rare model: it is imported when a document has such a field.

    Used as `Annotated[Any, Later("module", "Class")]` in place of the class.
    """

    module: str
    name: str

    @property
    def model(self) -> type[ApiModel]:
        """The class."""
        return cast("type[ApiModel]", getattr(import_module(self.module), self.name))

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401 - the signature that pydantic calls
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        """Validates with the class; its errors keep their places."""
        del source, handler
        return core_schema.no_info_plain_validator_function(
            lambda value: self.model.model_validate(value)
        )


class Resource(ApiModel):
    """A document: `apiVersion`, `kind`, `metadata`, and a spec in the subclasses."""

    GROUP: ClassVar[str]
    KIND: ClassVar[str]
    IGNORED: ClassVar[frozenset[str]] = frozenset({"status"})

    api_version: str
    kind: str
    metadata: ObjectMeta

    @model_validator(mode="before")
    @classmethod
    def _empty_spec(cls, document: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        """A document without spec is one with an empty spec: its own fields are then missing."""
        if isinstance(document, dict) and "spec" in cls.model_fields and "spec" not in document:
            return {**document, "spec": {}}
        return document

    @property
    def id(self) -> ResourceId:
        """Identity, whatever the version."""
        return ResourceId(self.GROUP, self.KIND, self.namespace, self.metadata.name)

    @property
    def namespace(self) -> str:
        """Namespace, `default` when the document names none."""
        return self.metadata.namespace or "default"

    @property
    def age(self) -> tuple[str, str, str]:
        """Sort key: older first, then by namespace and name. Independent of document order."""
        return (self.metadata.creation_timestamp or "", self.namespace, self.metadata.name)

    def renamed(self, **changes: Any) -> Self:  # noqa: ANN401 - field values of any type
        """A copy with some fields replaced, not validated again."""
        return self.model_copy(update=changes)


__all__ = ["ApiModel", "Counted", "Field", "Later", "Resource", "Rule"]
