"""Our CRDs on a real API server: it takes them, and serves what they define."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aigw.api.crd import GROUP, NAMES, crd
from kube.bed.cluster import conditions

if TYPE_CHECKING:
    from kube.bed.cluster import Cluster


@pytest.mark.parametrize("kind", NAMES)
def test_a_definition_is_established_without_objections(cluster: Cluster, kind: str) -> None:
    """Conditions that say anything else name faults: schemas that are not structural, CEL."""
    name = f"{NAMES[kind].plural}.{GROUP}"
    definition = cluster.get("CustomResourceDefinition", name)
    assert definition is not None
    assert conditions(definition) == {"Established": "True", "NamesAccepted": "True"}
    assert definition["spec"]["names"]["plural"] == NAMES[kind].plural
    assert definition["status"]["storedVersions"] == [crd(kind)["spec"]["versions"][-1]["name"]]


@pytest.mark.parametrize("kind", NAMES)
def test_every_version_is_served(cluster: Cluster, kind: str) -> None:
    for version in crd(kind)["spec"]["versions"]:
        assert cluster.find(f"{kind}.{GROUP}", version["name"]).is_namespaced
