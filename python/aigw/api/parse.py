"""One document to one resource, with everything that is wrong about it."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from aigw.api import kinds
from aigw.api.model import ApiModel, Later, Resource
from aigw.api.rules import broken_rules
from aigw.errors import Code, Diagnostic, ResourceId, Severity

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]
NOT_SUPPORTED = "is not supported yet"
CLUSTER_ONLY = "has an effect in a cluster only"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A resource, or None when it cannot be used; `id` is None when not even that is known."""

    resource: Resource | None
    id: ResourceId | None
    diagnostics: tuple[Diagnostic, ...]


class Unknown(Enum):
    """What becomes of fields that the models do not know, or that are not implemented."""

    REFUSED = auto()
    DROPPED = auto()
    """For objects that others serve, and that an API server has checked."""


def parse(document: object, unknown: Unknown = Unknown.REFUSED) -> Parsed:
    """Reads one document. Never raises for its content."""
    if not isinstance(document, dict):
        return _failed(None, Code.INVALID_FIELD, "", "a document must be a mapping")
    identity = identify(document)
    if identity is None:
        message = "apiVersion, kind and metadata.name are required"
        return _failed(None, Code.INVALID_FIELD, "", message)
    if refusal := _refused_kind(document, identity):
        return refusal
    model = kinds.model_of(identity.group, identity.kind)
    if unknown is Unknown.DROPPED:
        return _checked_elsewhere(document, identity, model)
    return _validate(document, identity, model)


def identify(document: Mapping[str, Any]) -> ResourceId | None:
    """Identity of a document as far as it can be told without knowing its kind."""
    api_version, kind = document.get("apiVersion"), document.get("kind")
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not (isinstance(api_version, str) and isinstance(kind, str) and isinstance(name, str)):
        return None
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    if kind in ("GatewayClass", "Namespace"):
        namespace = ""
    elif not isinstance(namespace, str) or not namespace:
        namespace = "default"
    group = api_version.rpartition("/")[0]
    return ResourceId(str(group), str(kind), str(namespace), str(name))


def _refused_kind(document: Mapping[str, Any], identity: ResourceId) -> Parsed | None:
    key = (identity.group, identity.kind)
    where = f"{identity.kind} of {identity.group or 'the core group'}"
    if key in kinds.NOT_YET:
        return _failed(identity, Code.UNSUPPORTED, "kind", f"{where} is not supported yet")
    if key not in kinds.KINDS:
        return _failed(identity, Code.UNKNOWN_KIND, "kind", f"{where} is not a known kind")
    versions = kinds.KINDS[key].versions
    version = str(document["apiVersion"]).rpartition("/")[2]
    if version not in versions:
        message = f"version {version} of {where} is not read, only {', '.join(versions)}"
        return _failed(identity, Code.UNKNOWN_KIND, "apiVersion", message)
    return None


def _checked_elsewhere(
    document: Mapping[str, Any], identity: ResourceId, model: type[Resource]
) -> Parsed:
    """What the model has of a document; rules over several fields are not repeated."""
    kept = {key: value for key, value in document.items() if key not in model.IGNORED}
    try:
        return Parsed(model.model_validate(kept), identity, ())
    except ValidationError as error:
        unknown = [item["loc"] for item in error.errors() if item["type"] == "extra_forbidden"]
    kept = copy.deepcopy(kept)
    for location in unknown:
        _drop(kept, location)
    try:
        return Parsed(model.model_validate(kept), identity, ())
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        findings = tuple(_explain(detail, model, identity) for detail in details)
        return Parsed(None, identity, findings)


def _drop(document: Any, location: Location) -> None:  # noqa: ANN401 - any JSON value
    *way, last = location
    for part in way:
        is_item = isinstance(document, list) and isinstance(part, int)
        if is_item or (isinstance(document, dict) and part in document):
            document = document[part]
        # Other parts name the member of a union.
    if isinstance(document, dict):
        document.pop(last, None)


def _failed(identity: ResourceId | None, code: Code, path: str, message: str) -> Parsed:
    return Parsed(None, identity, (Diagnostic(code, Severity.ERROR, message, identity, path),))


def _validate(document: Mapping[str, Any], identity: ResourceId, model: type[Resource]) -> Parsed:
    kept, ignored = _drop_ignored(document, model)
    findings = [
        Diagnostic(
            Code.IGNORED_FIELD,
            Severity.WARNING,
            "has no meaning any more and is ignored",
            identity,
            path,
        )
        for path in ignored
    ]
    try:
        resource = model.model_validate(kept)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        findings.extend(_explain(detail, model, identity) for detail in details)
        return Parsed(None, identity, tuple(findings))
    findings.extend(
        Diagnostic(Code.RULE, Severity.ERROR, broken.message, identity, field_path(broken.path))
        for broken in broken_rules(resource)
    )
    findings.extend(_without_effect(resource, "", identity))
    is_usable = all(finding.severity is not Severity.ERROR for finding in findings)
    return Parsed(resource if is_usable else None, identity, tuple(findings))


def _without_effect(value: object, path: str, identity: ResourceId) -> Iterator[Diagnostic]:
    """Names fields that are valid and change nothing here."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _without_effect(item, f"{path}[{index}]", identity)
    if not isinstance(value, ApiModel):
        return
    for name in value.present:
        alias = type(value).model_fields[name].alias or name
        place = f"{path}.{alias}" if path else alias
        if alias in value.NOT_YET:
            yield Diagnostic(Code.UNSUPPORTED, Severity.ERROR, NOT_SUPPORTED, identity, place)
        elif alias in value.CLUSTER_ONLY:
            yield Diagnostic(Code.NO_EFFECT, Severity.WARNING, CLUSTER_ONLY, identity, place)
        else:
            yield from _without_effect(getattr(value, name), place, identity)


def _drop_ignored(
    document: Mapping[str, Any], model: type[Resource]
) -> tuple[dict[str, Any], list[str]]:
    """The document without ignored fields of its root and its spec, and their paths."""
    kept = {key: value for key, value in document.items() if key not in model.IGNORED}
    spec_field = model.model_fields.get("spec")
    spec_model = spec_field.annotation if spec_field else None
    names: frozenset[str] = getattr(spec_model, "IGNORED", frozenset())
    spec = kept.get("spec")
    if not isinstance(spec, dict):
        return kept, []
    kept["spec"] = {key: value for key, value in spec.items() if key not in names}
    return kept, [f"spec.{key}" for key in spec if key in names]


def _explain(detail: "ErrorDetails", model: type[Resource], identity: ResourceId) -> Diagnostic:
    location = detail["loc"]
    path = field_path(location)
    match detail["type"]:
        case "extra_forbidden" if _is_not_yet(model, location):
            code, message = Code.UNSUPPORTED, NOT_SUPPORTED
        case "extra_forbidden":
            code, message = Code.UNKNOWN_FIELD, "unknown field"
        case "missing":
            code, message = Code.INVALID_FIELD, "is required"
        case _:
            code, message = Code.INVALID_FIELD, _plain(detail["msg"])
    return Diagnostic(code, Severity.ERROR, message, identity, path)


def _plain(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].lower() + text[1:]


def field_path(location: Location) -> str:
    """`spec.rules[0].name` for a location of pydantic."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def _is_not_yet(model: type[ApiModel], location: Location) -> bool:
    owner = _model_at(model, location[:-1])
    return owner is not None and location[-1] in owner.NOT_YET


def _model_at(model: type[ApiModel], location: Location) -> type[ApiModel] | None:
    """The model that owns the field at `location`."""
    current: type[ApiModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue
        current = _field_model(current, part) if current else None
    return current


def _field_model(model: type[ApiModel], alias: str) -> type[ApiModel] | None:
    fields: Mapping[str, FieldInfo] = model.model_fields
    for name, info in fields.items():
        if alias in (info.alias, name):
            return next(models_in(info.annotation, *info.metadata), None)
    return None


def models_in(*annotations: object) -> Iterator[type[ApiModel]]:
    """Models named in type annotations."""
    for annotation in annotations:
        if isinstance(annotation, Later):
            yield annotation.model
        elif isinstance(annotation, type) and issubclass(annotation, ApiModel):
            yield annotation
        yield from models_in(*get_args(annotation))
