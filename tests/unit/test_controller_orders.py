"""The order in which objects come, change and go leaves no trace."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aigw.api.parse import identify
from aigw.controller.objects import Objects
from aigw.controller.view import Viewer
from aigw.plan import EndpointPrefixes
from beds.cluster_objects import backend, gateway, protected_by, route
from beds.resources import resource
from unit.test_controller_view import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from aigw.controller.view import View
    from aigw.errors import ResourceId

Document = dict[str, Any]

GROUP = "aigateway.envoyproxy.io"
AIGW = f"{GROUP}/v1beta1"
TEAM = "team"


def placed(namespace: str, *documents: Document) -> list[Document]:
    found = copy.deepcopy([*documents])
    for document in found:
        document["metadata"]["namespace"] = namespace
    return found


def cluster() -> list[Document]:
    """Two namespaces with grants, keys, policies, conflicts and things past validation."""
    far = route("far", ("m", "shared"), parent="edge")
    far["spec"]["rules"][0]["backendRefs"][0]["namespace"] = TEAM
    key = {"type": "APIKey", "apiKey": {"secretRef": {"name": "key"}}}
    target = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": "a"}
    policies = [
        resource(AIGW, "BackendSecurityPolicy", name, targetRefs=[target], **key)
        for name in ("one", "two")
    ]
    old = resource(AIGW, "AIServiceBackend", "old", schema={"name": "Gone"}, backendRef={})
    secret = resource("v1", "Secret", "key")
    secret["data"] = {"apiKey": "Y2FuYXJ5"}
    here = [
        gateway(),
        gateway("other"),
        *backend("a"),
        *backend("b"),
        old,
        secret,
        *policies,
        route("one", ("x", "a"), ("y", "old")),
        route("two", ("x", "b"), ("z", "missing")),
        route("three", ("x", "b"), parent="other"),
        protected_by("one", extAuth={"http": {"path": "/a"}}),
        protected_by("two", extAuth={"http": {"path": "/b"}}),
        far,
    ]
    grant = resource(
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        "in",
        **{
            "from": [{"group": GROUP, "kind": "AIGatewayRoute", "namespace": "default"}],
            "to": [{"group": GROUP, "kind": "AIServiceBackend"}],
        },
    )
    return [*placed("default", *here), *placed(TEAM, grant, *backend("shared"))]


def fresh(documents: list[Document]) -> View:
    objects = Objects()
    for document in documents:
        objects.put(document)
    return Viewer(EndpointPrefixes()).view(objects)


def identity_of(document: Document) -> ResourceId:
    found = identify(document)
    assert found
    return found


def changed(document: Document, chance: random.Random) -> Document:
    """Another version of a document: its labels, or a part of its spec less."""
    found = copy.deepcopy(document)
    spec = found.get("spec")
    if spec and chance.random() < 0.5:
        del spec[chance.choice(sorted(spec))]
    else:
        found["metadata"].setdefault("labels", {})["a"] = str(chance.random())
    if chance.random() < 0.1:
        found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return found


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_coming_changing_and_going_ends_the_same(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    documents = cluster()
    for number, document in enumerate(documents):
        document["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
    viewer, objects = Viewer(EndpointPrefixes()), Objects()
    for _ in range(2):
        for document in chance.sample(documents, len(documents)):
            if chance.random() < 0.3:
                objects.remove(identity_of(document))
            else:
                objects.put(changed(document, chance))
            if chance.random() < 0.5:
                viewer.view(objects)
    rest = chance.sample(documents, chance.randint(len(documents) // 2, len(documents)))
    for document in documents:
        objects.remove(identity_of(document))
        if chance.random() < 0.3:
            viewer.view(objects)
    for document in rest:
        objects.put(document)
        if chance.random() < 0.3:
            viewer.view(objects)
    assert viewer.view(objects) == fresh(sorted(rest, key=str))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_applied_backwards_are_the_same(path: Path) -> None:
    documents = [item for item in yaml.safe_load_all(path.read_text()) if item]
    assert fresh(documents[::-1]) == fresh(documents)
