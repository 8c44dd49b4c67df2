"""Rules of the API in CEL, and how they are checked without an API server.

A rule is one string on its model. The CRD carries it as `x-kubernetes-validations`; here the
core's CEL evaluates the same string over the object as the API server sees it, which is the
written fields and the defaults of the CRD, and nothing that only we assume.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import orjson

if TYPE_CHECKING:
    from aigw.api.model import ApiModel

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over a model or over one of its fields.

    `field` is the alias of the field that `self` means in `cel`, or empty for the model; absent
    fields are not checked.
    """

    id: str
    cel: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold; `reason` says why there is no verdict, if there is none."""

    path: Path
    rule: Rule
    reason: str = ""

    @property
    def message(self) -> str:
        """What the API server says, and the id of the rule."""
        text = f"rule: {self.reason}" if self.reason else self.rule.message
        return f"{text} ({self.rule.id})"


NOT_EVALUATED: Mapping[str, str] = {}
"""Rules that the core cannot evaluate, by id, with the reason. Only an API server checks them."""


def broken_rules(model: "ApiModel") -> list[Broken]:
    """All rules that do not hold in `model` and below it."""
    checks: list[tuple[Path, Rule]] = []
    seen = _walk(model, (), checks)
    if not checks:
        return []
    from aigw import _core  # noqa: PLC0415 - loaded only where there is something to check

    request = {"object": seen, "checks": [(rule.cel, path) for path, rule in checks]}
    verdicts = orjson.loads(_core.evaluate_cel(orjson.dumps(request)))
    return [
        Broken(path, rule, verdict.get("message", ""))
        for (path, rule), verdict in zip(checks, verdicts, strict=True)
        if verdict.get("value") is not True
    ]


def as_served(model: "ApiModel") -> Any:  # noqa: ANN401 - any JSON value
    """The object as the API server stores it: as written, with the defaults of the CRD."""
    return _walk(model, (), [])


def _walk(value: object, path: Path, checks: list[tuple[Path, Rule]]) -> Any:  # noqa: ANN401
    """`value` as the API server sees it; the rules that apply in it go to `checks`."""
    if isinstance(value, list):
        return [_walk(item, (*path, index), checks) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _walk(item, (*path, key), checks) for key, item in value.items()}
    if not hasattr(value, "model_fields_set"):
        return _scalar(value)
    model = cast("ApiModel", value)
    written, members = model.model_fields_set, {}
    for name, alias, has_default in _fields(type(model)):
        member = getattr(model, name) if has_default or name in written else None
        if member is not None:
            members[alias] = _walk(member, (*path, alias), checks)
    checks.extend((_at(path, rule), rule) for rule in _rules(type(model), members))
    return members


def _scalar(value: object) -> object:
    """What JSON can say; only quantities and free-form members can be anything else."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else None
    return value


def _at(path: Path, rule: Rule) -> Path:
    return (*path, rule.field) if rule.field else path


def _rules(model: "type[ApiModel]", members: Mapping[str, Any]) -> Iterator[Rule]:
    for rule in getattr(model, "RULES", ()):
        if rule.id not in NOT_EVALUATED and (not rule.field or rule.field in members):
            yield rule


@cache
def _fields(model: "type[ApiModel]") -> tuple[tuple[str, str, bool], ...]:
    """Name, alias, and whether the API server has a default, of each field."""
    return tuple(
        (name, info.alias or name, not info.is_required() and info.default_factory is None)
        for name, info in model.model_fields.items()
    )
