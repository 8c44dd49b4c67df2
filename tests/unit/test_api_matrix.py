"""Which objects of our kinds are valid: tests/matrix, without an API server."""

from collections.abc import Iterator
from typing import Any

import pytest

from aigw.api import kinds
from aigw.api.crd import GROUP, NAMES
from aigw.api.model import ApiModel, Rule
from aigw.api.parse import Parsed, models_in, parse
from aigw.api.rules import NOT_EVALUATED, as_served
from aigw.errors import Code, Severity
from beds.matrix import Case, cases, examples, tables, value_at


def faults(parsed: Parsed) -> list[tuple[str, str]]:
    """Path and message of what makes the object invalid."""
    return [
        (item.field_path, item.message)
        for item in parsed.diagnostics
        if item.severity is Severity.ERROR and item.code is not Code.UNSUPPORTED
    ]


@pytest.mark.parametrize(("value", "case"), list(cases()))
def test_an_object_is_valid_or_refused_as_the_matrix_says(
    value: dict[str, Any], case: Case
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
        model = kinds.model_of(GROUP, value["kind"]).model_validate(value)
        stored = {path: value_at(as_served(model), path) for path in case.get("stored", {})}
        assert stored == case.get("stored", {})


@pytest.mark.parametrize(
    "value", examples(), ids=lambda item: f"{item['kind']} {item['metadata']['name']}"
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
    found = [case for table in tables().values() for case in table["cases"]]
    broken = {case["rule"] for case in found if "rule" in case}
    assert broken == ours - set(NOT_EVALUATED)


def test_rules_that_are_not_evaluated_exist() -> None:
    assert set(NOT_EVALUATED) <= set(all_rules())
