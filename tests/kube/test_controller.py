"""The controller on a real API server."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any

import pytest

from beds.resources import resource
from kube.bed.process import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts
    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster

Json = dict[str, Any]

AIGW = "aigateway.envoyproxy.io/v1beta1"
EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io/v1"


@pytest.fixture(scope="module", autouse=True)
def controller(api_server: ApiServer, free_port: FreePorts) -> Iterator[None]:
    """One that runs for all tests of this module."""
    command = [sys.executable, "-m", "aigw", "controller", "--namespace=default"]
    command += ["--kubeconfig", api_server.kubeconfig]
    command += [
        f"--{name}=127.0.0.1:{free_port()}" for name in ("port", "stream-port", "webhook-port")
    ]
    program = Program.start("controller", command, api_server.folder)
    yield
    program.stop()
    assert program.process.returncode == 0, program.log


def load(cluster: Cluster, namespace: str, *documents: Json) -> None:
    for document in documents:
        placed = copy.deepcopy(document)
        placed["metadata"]["namespace"] = namespace
        cluster.create(placed)


def edge() -> Json:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return resource(GW, "Gateway", "edge", gatewayClassName="eg", listeners=[listener])


def backend(name: str) -> list[Json]:
    endpoints = [{"fqdn": {"hostname": f"{name}.example.com", "port": 443}}]
    ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    return [
        resource(EG, "Backend", name, endpoints=endpoints),
        resource(AIGW, "AIServiceBackend", name, schema={"name": "OpenAI"}, backendRef=ref),
    ]


def route(name: str, **models: str) -> Json:
    rules = [
        {
            "matches": [{"headers": [{"name": "x-ai-eg-model", "value": model}]}],
            "backendRefs": [{"name": to}],
        }
        for model, to in models.items()
    ]
    parent = {"name": "edge", "group": "gateway.networking.k8s.io", "kind": "Gateway"}
    return resource(AIGW, "AIGatewayRoute", name, parentRefs=[parent], rules=rules)


def conditions(cluster: Cluster, kind: str, name: str, namespace: str) -> list[tuple[str, str]]:
    found = cluster.get(kind, name, namespace) or {}
    return [
        (item["type"], item["reason"]) for item in found.get("status", {}).get("conditions", ())
    ]


ACCEPTED = ("Accepted", "ReconciliationSucceeded")


def test_a_route_gets_its_objects_and_status(cluster: Cluster, namespace: str) -> None:
    load(cluster, namespace, edge(), *backend("openai"), route("chat", m="openai"))
    cluster.wait(
        lambda: conditions(cluster, "AIGatewayRoute", "chat", namespace)[-1:] == [ACCEPTED],
        "acceptance",
    )
    made = cluster.wait(lambda: cluster.get("HTTPRoute", "chat", namespace), "HTTPRoute")
    assert made["spec"]["rules"][0]["backendRefs"][0]["name"] == "openai"
    for name in ("ai-eg-host-rewrite-chat", "ai-eg-route-not-found-response-chat"):
        cluster.wait(lambda name=name: cluster.get("HTTPRouteFilter", name, namespace), name)
    owner = cluster.wait(lambda: finalized(cluster, namespace), "finalizer")
    assert owner["status"]["conditions"][-1]["observedGeneration"] == 1
    assert not [name for name in owner["metadata"].get("annotations", {}) if "kopf" in name]


def finalized(cluster: Cluster, namespace: str) -> Json | None:
    found = cluster.get("AIGatewayRoute", "chat", namespace)
    held = found and found["metadata"].get("finalizers") == ["aigateway.envoyproxy.io/finalizer"]
    return found if held else None


def test_an_edit_a_deletion_and_foreign_hands_are_made_good(
    cluster: Cluster, namespace: str
) -> None:
    load(cluster, namespace, edge(), *backend("a"), *backend("b"), route("chat", m="a"))
    made = cluster.wait(lambda: cluster.get("HTTPRoute", "chat", namespace), "HTTPRoute")
    cluster.patch(made, {"spec": {"hostnames": ["forged.example.com"]}})
    cluster.delete(cluster.get("HTTPRouteFilter", "ai-eg-host-rewrite-chat", namespace))
    cluster.patch(
        route_of(cluster, namespace), {"spec": {"rules": route("chat", m="b")["spec"]["rules"]}}
    )

    def healed() -> bool:
        spec = (cluster.get("HTTPRoute", "chat", namespace) or {}).get("spec", {})
        to = [ref["name"] for rule in spec["rules"] for ref in rule.get("backendRefs", ())]
        there = cluster.get("HTTPRouteFilter", "ai-eg-host-rewrite-chat", namespace)
        return to == ["b"] and not spec.get("hostnames") and there is not None

    cluster.wait(healed, "the objects as they should be")
    cluster.delete(route_of(cluster, namespace))
    cluster.wait(lambda: not cluster.get("AIGatewayRoute", "chat", namespace), "deletion")


def route_of(cluster: Cluster, namespace: str) -> Json:
    found = cluster.get("AIGatewayRoute", "chat", namespace)
    assert found
    return found


def test_an_http_route_of_somebody_else_is_left_alone(cluster: Cluster, namespace: str) -> None:
    load(cluster, namespace, edge(), *backend("a"), resource(GW, "HTTPRoute", "chat", rules=[{}]))
    before = cluster.get("HTTPRoute", "chat", namespace)
    load(cluster, namespace, route("chat", m="a"))
    cluster.wait(
        lambda: (
            conditions(cluster, "AIGatewayRoute", "chat", namespace)[-1:]
            == [("NotAccepted", "ReconciliationFailed")]
        ),
        "refusal",
    )
    assert cluster.get("HTTPRoute", "chat", namespace) == before
    cluster.delete(before)
    cluster.wait(
        lambda: conditions(cluster, "AIGatewayRoute", "chat", namespace)[-1:] == [ACCEPTED],
        "acceptance",
    )
