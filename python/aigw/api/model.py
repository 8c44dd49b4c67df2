"""Base of all resource models: strict fields, and rules that look at several fields.

A model's fields carry their constraints as pydantic `Field`s, from which CRD schemas can be
generated. What a schema cannot say is a [`Rule`][aigw.api.model.Rule] in the model's `RULES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from aigw.api.metadata import ObjectMeta
from aigw.errors import ResourceId


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over a model or over one of its fields.

    `cel` is the rule as the API server evaluates it, `holds` the same in Python. `field` is the
    alias of the field that `self` means, or empty for the model; absent fields are not checked.
    """

    id: str
    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""


class ApiModel(BaseModel):
    """An object of the API. Unknown fields are errors.

    `NOT_YET` names fields that exist in the API but are not implemented: they are refused as
    such, not as unknown. `IGNORED` names fields that had a meaning once: they are dropped with
    a warning.
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
    IGNORED: ClassVar[frozenset[str]] = frozenset()


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


def broken_rules(model: ApiModel, path: str = "") -> Iterator[tuple[str, Rule]]:
    """All rules that do not hold in `model` and below it, with the field path of each."""
    for rule in type(model).RULES:
        value = model if not rule.field else _by_alias(model, rule.field)
        if value is not None and not rule.holds(value):
            yield _join(path, rule.field), rule
    for name, info in type(model).model_fields.items():
        yield from _below(getattr(model, name), _join(path, info.alias or name))


def _below(value: object, path: str) -> Iterator[tuple[str, Rule]]:
    if isinstance(value, ApiModel):
        yield from broken_rules(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _below(item, f"{path}[{index}]")


def _by_alias(model: ApiModel, alias: str) -> object:
    for name, info in type(model).model_fields.items():
        if alias in (info.alias, name):
            return getattr(model, name)
    message = f"{type(model).__name__} has no field {alias}"
    raise AttributeError(message)


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field else path or field


__all__ = ["ApiModel", "Field", "Resource", "Rule", "broken_rules"]
