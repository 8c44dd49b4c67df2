"""Models to the structural schemas of CRDs.

Only for generating: descriptions come from the source, from the string after a field and from the
docstring of a model.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aigw.api.fields import INT32_MAX, INT64_MAX, CrdSchema, UniqueBy
from aigw.api.model import ApiModel, Later
from aigw.api.rules import Rule

Schema = dict[str, Any]

_SCALARS = {str: "string", int: "integer", bool: "boolean", float: "number"}
_LENGTH = {"string": "Length", "array": "Items", "object": "Properties"}
_RANGES = {"int32": (-INT32_MAX - 1, INT32_MAX), "int64": (-INT64_MAX - 1, INT64_MAX)}


def object_schema(model: type[ApiModel]) -> Schema:
    """Schema of a model, with its rules."""
    texts = _field_texts(model)
    properties: dict[str, Schema] = {}
    for name, info in model.model_fields.items():
        schema = field_schema(info)
        if name in texts:
            schema = {"description": "", **schema, **{"description": texts[name]}}
        properties[info.alias or name] = schema
    for rule in model.RULES:
        if rule.field:
            properties[rule.field].setdefault("x-kubernetes-validations", []).append(_rule(rule))
    required = [
        info.alias or name for name, info in model.model_fields.items() if info.is_required()
    ]
    schema = {"description": _text(model.__doc__ or ""), "type": "object", "properties": properties}
    if required:
        schema["required"] = sorted(required)
    schema.update(model.SCHEMA)
    if own := [_rule(rule) for rule in model.RULES if not rule.field]:
        schema["x-kubernetes-validations"] = own
    return schema


def field_schema(info: FieldInfo) -> Schema:
    """Schema of a field, with the default that the API server fills in."""
    schema = _schema(info.annotation, info.metadata)
    if info.default is not None and info.default is not PydanticUndefined:
        schema["default"] = info.default
    return schema


def _rule(rule: Rule) -> dict[str, str]:
    return {"message": rule.message, "rule": rule.cel}


def _schema(annotation: object, metadata: Iterable[object] = ()) -> Schema:
    schema, key = _base(annotation), None
    for item in metadata:
        if isinstance(item, Later):
            schema = object_schema(item.model)
        elif isinstance(item, CrdSchema):
            schema.update(item.members)
        elif isinstance(item, UniqueBy):
            key = item.key
            schema["x-kubernetes-list-type"] = "map" if key else "set"
        elif isinstance(item, FieldInfo):
            schema = _constrained(schema, item.metadata)
        else:
            schema = _constrained(schema, [item])
    if key:
        model = get_args(annotation)[0]
        schema["x-kubernetes-list-map-keys"] = [model.model_fields[key].alias]
    return _without_format_range(schema)


def _base(annotation: object) -> Schema:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _schema(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        present = [argument for argument in arguments if argument is not NoneType]
        return _base(present[0]) if len(present) == 1 else {}
    if origin is Literal:
        return {"type": _SCALARS[type(arguments[0])], "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _base(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _base(arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return object_schema(annotation)
    name = next((name for scalar, name in _SCALARS.items() if annotation is scalar), "")
    return {"type": name} if name else {}


def _constrained(schema: Schema, constraints: Iterable[object]) -> Schema:
    suffix = _LENGTH.get(schema.get("type", ""), "")
    for item in constraints:
        match item:
            case Ge(ge=bound):
                schema["minimum"] = max(schema.get("minimum", bound), bound)
            case Le(le=bound):
                schema["maximum"] = min(schema.get("maximum", bound), bound)
            case MinLen(min_length=length):
                schema[f"min{suffix}"] = length
            case MaxLen(max_length=length):
                schema[f"max{suffix}"] = length
            case _ if pattern := getattr(item, "pattern", None):
                schema["pattern"] = pattern
            case _:
                continue
    return schema


def _without_format_range(schema: Schema) -> Schema:
    """Bounds that the format has anyway are left out."""
    least, most = _RANGES.get(schema.get("format", ""), (None, None))
    if schema.get("minimum") == least:
        schema.pop("minimum", None)
    if schema.get("maximum") == most:
        schema.pop("maximum", None)
    return schema


@cache
def _field_texts(model: type[ApiModel]) -> Mapping[str, str]:
    """The strings after fields, those of base classes included."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, ApiModel) and cls is not ApiModel:
            texts.update(_own_field_texts(cls))
    return texts


def _own_field_texts(cls: type[ApiModel]) -> Iterable[tuple[str, str]]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, _text(text)


def _text(text: str) -> str:
    return " ".join(text.split()).replace("`", "")
