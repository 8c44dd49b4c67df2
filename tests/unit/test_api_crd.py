"""The CRDs: what kinds, versions and schemas they have."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aigw.api.crd import GROUP, NAMES, crd

CRDS = Path(__file__).parents[2] / "crds"
Schema = dict[str, Any]
# Members of schemas that take a schema or lists of them.
_NESTED = ("properties", "items", "additionalProperties")
_KNOWN = {
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "required",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "anyOf",
    "allOf",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    *_NESTED,
}


def schemas(kind: str) -> Iterator[tuple[str, Schema]]:
    """All schemas of a kind, with their paths."""
    for version in crd(kind)["spec"]["versions"]:
        yield from below(version["name"], version["schema"]["openAPIV3Schema"])


def below(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from below(f"{path}.{name}", inner)
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from below(f"{path}.{name}", schema[name])


@pytest.mark.parametrize("kind", NAMES)
def test_every_schema_is_structural(kind: str) -> None:
    for path, schema in schemas(kind):
        assert set(schema) <= _KNOWN, path
        is_free = schema.get("x-kubernetes-preserve-unknown-fields", False)
        is_either = schema.get("x-kubernetes-int-or-string", False)
        assert ("type" in schema) != (is_free or is_either), path
        assert ("anyOf" in schema) == is_either, path
        assert ("items" in schema) == (schema.get("type") == "array"), path
        assert not {"properties", "additionalProperties"} <= set(schema), path
        if "properties" in schema:
            assert schema["type"] == "object", path
            assert set(schema.get("required", ())) <= set(schema["properties"]), path


@pytest.mark.parametrize("kind", NAMES)
def test_extensions_are_where_they_belong(kind: str) -> None:
    for path, schema in schemas(kind):
        if "x-kubernetes-list-type" in schema:
            assert schema["type"] == "array", path
        if "x-kubernetes-map-type" in schema:
            assert schema["type"] == "object", path
        keys = schema.get("x-kubernetes-list-map-keys", [])
        assert bool(keys) == (schema.get("x-kubernetes-list-type") == "map"), path
        for key in keys:
            item = schema["items"]
            assert key in item["required"] or "default" in item["properties"][key], path
        for rule in schema.get("x-kubernetes-validations", []):
            assert set(rule) == {"rule", "message"}, path


@pytest.mark.parametrize("kind", NAMES)
def test_defaults_fit_their_schemas(kind: str) -> None:
    types = {"string": str, "integer": int, "boolean": bool}
    for path, schema in schemas(kind):
        if "default" not in schema:
            continue
        assert type(schema["default"]) is types[schema["type"]], path
        assert schema["default"] in schema.get("enum", [schema["default"]]), path


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_is_required_at_the_root(kind: str) -> None:
    for version in crd(kind)["spec"]["versions"]:
        root = version["schema"]["openAPIV3Schema"]
        assert set(root["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}
        assert "required" not in root


def test_versions_are_served_and_stored() -> None:
    for kind in NAMES:
        spec = crd(kind)["spec"]
        assert spec["group"] == GROUP
        assert "conversion" not in spec
        newest = spec["versions"][-1]
        assert newest["storage"]
        assert "deprecated" not in newest
        assert [version["name"] for version in spec["versions"]] == (
            ["v1alpha1"] if kind == "QuotaPolicy" else ["v1alpha1", "v1beta1"]
        )
        for version in spec["versions"][:-1]:
            assert version["served"]
            assert not version["storage"]
            assert version["deprecationWarning"] == (
                f"{GROUP}/v1alpha1 is deprecated; use {GROUP}/v1beta1 instead"
            )


def test_objects_show_their_last_condition_and_age() -> None:
    for kind in NAMES:
        for version in crd(kind)["spec"]["versions"]:
            assert version["subresources"] == {"status": {}}
            assert [item["name"] for item in version["additionalPrinterColumns"]] == [
                "Status",
                "Age",
            ]


def test_policies_say_so() -> None:
    marked = {kind for kind in NAMES if "labels" in crd(kind)["metadata"]}
    assert marked == {"BackendSecurityPolicy", "QuotaPolicy"}


def test_a_definition_is_small_enough_to_be_stored() -> None:
    assert all(len(json.dumps(crd(kind))) < 1_000_000 for kind in NAMES)


def test_the_files_hold_the_definitions() -> None:
    files = {path.name: yaml.safe_load(path.read_text()) for path in CRDS.iterdir()}
    assert files == {f"{GROUP}_{names.plural}.yaml": crd(kind) for kind, names in NAMES.items()}
