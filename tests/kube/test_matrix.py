"""A real API server takes and refuses the same objects as aigw offline, for the same reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aigw.api.parse import parse
from beds.matrix import Case, cases, examples, value_at
from kube.bed.cluster import Refused
from kube.bed.process import BedError

if TYPE_CHECKING:
    from kube.bed.cluster import Cluster

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))
TABLE = list(cases())


def in_namespace(value: dict[str, Any]) -> dict[str, Any]:
    """The object, where it can be created."""
    return {**value, "metadata": {**value["metadata"], "namespace": "default"}}


@pytest.mark.parametrize(("value", "case"), [p for p in TABLE if "path" not in p.values[1]])
def test_an_object_of_the_matrix_is_accepted(
    cluster: Cluster, value: dict[str, Any], case: Case
) -> None:
    # What aigw reports may be fields that the server does not know: it drops them.
    validation = "Warn" if "reported" in case else "Strict"
    stored = cluster.create(in_namespace(value), dryRun="All", fieldValidation=validation)
    expected = case.get("stored", {})
    assert {path: value_at(stored, path) for path in expected} == expected


@pytest.mark.parametrize(("value", "case"), [p for p in TABLE if "path" in p.values[1]])
def test_an_object_of_the_matrix_is_refused(
    cluster: Cluster, value: dict[str, Any], case: Case
) -> None:
    if case["path"] == "apiVersion":
        with pytest.raises(BedError, match="no such kind"):
            cluster.dry_run(in_namespace(value))
        return
    with pytest.raises(Refused) as caught:
        cluster.dry_run(in_namespace(value))
    reasons = [cause["message"] for cause in caught.value.causes if is_at(case, cause)]
    assert reasons, caught.value.causes
    assert any(case.get("server", "") in reason for reason in reasons)
    if "rule" in case:
        said = {
            item.message.removesuffix(f" ({case['rule']})") for item in parse(value).diagnostics
        }
        assert any(reason.endswith(tuple(said)) for reason in reasons)


def is_at(case: Case, cause: dict[str, str]) -> bool:
    """Whether the server blames the field that the case names."""
    path: str = case["path"]
    if cause["field"] == "<nil>":
        # Some checks of values have no field, and name it in their text.
        return cause["message"].endswith(f" in {path}")
    if case.get("server") == "Duplicate value":
        # The server names the item, aigw the list.
        return re.sub(r"\[\d+\]$", "", cause["field"]) == path
    return cause["field"] == path


@pytest.mark.parametrize(
    "value", examples(), ids=lambda item: f"{item['kind']} {item['metadata']['name']}"
)
def test_what_users_write_is_valid(cluster: Cluster, value: dict[str, Any]) -> None:
    cluster.dry_run(in_namespace(value))


@pytest.mark.usefixtures("all_kinds")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_is_valid(cluster: Cluster, path: Path) -> None:
    text = re.sub(r"\$\{\w+\}", "value", path.read_text())
    for value in yaml.safe_load_all(text):
        cluster.dry_run(in_namespace(value))
