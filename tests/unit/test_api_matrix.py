"""Which objects of our kinds are valid: tests/matrix, without an API server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aigw.api import kinds
from aigw.api.crd import GROUP, NAMES
from aigw.api.model import ApiModel, Rule
from aigw.api.parse import Parsed, models_in, parse
from aigw.api.rules import NOT_EVALUATED, as_served
from aigw.errors import Code, Severity

MATRIX = Path(__file__).parents[1] / "matrix"
Case = dict[str, Any]


def expanded(value: Any) -> Any:  # noqa: ANN401 - any YAML value
    """`value` with its repeated items written out, and without members that are null."""
    if isinstance(value, dict):
        return {key: expanded(item) for key, item in value.items() if item is not None}
    if not isinstance(value, list):
        return value
    items: list[Any] = []
    for item in value:
        written = expanded(item)
        times = written.pop("$repeat", 1) if isinstance(written, dict) else 1
        is_scalar = isinstance(written, dict) and "$value" in written
        items += [written["$value"] if is_scalar else written] * times
    return items


def cases() -> Iterator[Any]:
    """Kind, document and expectations of each case."""
    for kind in NAMES:
        table = yaml.safe_load((MATRIX / f"{kind}.yaml").read_text())
        for case in table["cases"]:
            yield pytest.param(kind, document(kind, table["base"], case), case, id=case["name"])


def document(kind: str, base: dict[str, Any], case: Case) -> dict[str, Any]:
    """The object of a case."""
    version = case.get("version", kinds.KINDS[GROUP, kind].versions[0])
    head = {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": "x"}}
    if "object" in case:
        return {**head, **case["object"]}
    spec = {**base, **case.get("spec", {})}
    if "settings" in case:
        service = {"backendRef": {"name": "a", "port": 1}, "backendSettings": case["settings"]}
        spec["securityPolicy"] = {"extAuth": {"http": service}}
    return {**head, "spec": expanded(spec)}


def value_at(value: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


def faults(parsed: Parsed) -> list[tuple[str, str]]:
    """Path and message of what makes the object invalid."""
    return [
        (item.field_path, item.message)
        for item in parsed.diagnostics
        if item.severity is Severity.ERROR and item.code is not Code.UNSUPPORTED
    ]


@pytest.mark.parametrize(("kind", "value", "case"), list(cases()))
def test_an_object_is_valid_or_refused_as_the_matrix_says(
    kind: str, value: dict[str, Any], case: Case
) -> None:
    parsed = parse(value)
    found = faults(parsed)
    if "reported" in case:
        assert case["reported"] in {item.field_path for item in parsed.diagnostics}
    elif "rule" in case:
        assert any(
            path == case["path"] and message.endswith(f"({case['rule']})")
            for path, message in found
        ), found
    elif "path" in case:
        # Items of keyed lists are named one by one by the server and by their list here.
        assert [path for path, _ in found] == [case["path"]]
    else:
        assert not found
        model = kinds.model_of(GROUP, kind).model_validate(value)
        stored = {path: value_at(as_served(model), path) for path in case.get("stored", {})}
        assert stored == case.get("stored", {})


EXAMPLES = list(yaml.safe_load_all((MATRIX / "examples.yaml").read_text()))


@pytest.mark.parametrize(
    "value", EXAMPLES, ids=[f"{item['kind']} {item['metadata']['name']}" for item in EXAMPLES]
)
def test_what_users_write_is_valid(value: dict[str, Any]) -> None:
    assert not faults(parse(value))


def models(model: type[ApiModel]) -> Iterator[type[ApiModel]]:
    """A model and all models in it."""
    yield model
    for info in model.model_fields.values():
        for inner in models_in(info.annotation, *info.metadata):
            yield from models(inner)


def all_rules() -> dict[str, Rule]:
    """The rules of all kinds, by id."""
    found: dict[str, Rule] = {}
    for group, kind in kinds.KINDS:
        for model in models(kinds.model_of(group, kind)):
            for rule in model.RULES:
                assert found.setdefault(rule.id, rule).cel == rule.cel
    return found


def test_every_rule_of_our_kinds_is_broken_by_a_case() -> None:
    ours = {
        rule.id
        for kind in NAMES
        for model in models(kinds.model_of(GROUP, kind))
        for rule in model.RULES
    }
    tables = [yaml.safe_load((MATRIX / f"{kind}.yaml").read_text()) for kind in NAMES]
    broken = {case["rule"] for table in tables for case in table["cases"] if "rule" in case}
    assert broken == ours - set(NOT_EVALUATED)


def test_rules_that_are_not_evaluated_exist() -> None:
    assert set(NOT_EVALUATED) <= set(all_rules())
