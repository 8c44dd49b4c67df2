"""Which objects of our kinds are valid: tests/matrix, read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aigw.api import kinds
from aigw.api.crd import GROUP, NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

MATRIX = Path(__file__).parents[1] / "matrix"
Case = dict[str, Any]


def tables() -> dict[str, Case]:
    """The table of each kind."""
    return {kind: yaml.safe_load((MATRIX / f"{kind}.yaml").read_text()) for kind in NAMES}


def cases() -> Iterator[Any]:
    """Object and expectations of each case, as parameters of a test."""
    for kind, table in tables().items():
        for case in table["cases"]:
            name = f"{kind}: {case['name']}"
            yield pytest.param(document(kind, table["base"], case), case, id=name)


def examples() -> list[dict[str, Any]]:
    """Whole objects that are valid."""
    return list(yaml.safe_load_all((MATRIX / "examples.yaml").read_text()))


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


def value_at(value: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a path such as `spec.rules[0].name`."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value
