"""The controller on a real API server."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aigw.controller.generated import complete, is_in_place
from aigw.controller.objects import Objects
from aigw.controller.view import Viewer
from aigw.plan import EndpointPrefixes
from beds.cluster_objects import EG, GW, backend, gateway, route
from beds.resources import resource
from kube.bed.process import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts
    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster

Json = dict[str, Any]


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


def conditions(cluster: Cluster, kind: str, name: str, namespace: str) -> list[tuple[str, str]]:
    found = cluster.get(kind, name, namespace) or {}
    return [
        (item["type"], item["reason"]) for item in found.get("status", {}).get("conditions", ())
    ]


ACCEPTED = ("Accepted", "ReconciliationSucceeded")


def test_a_route_gets_its_objects_and_status(cluster: Cluster, namespace: str) -> None:
    load(cluster, namespace, gateway(), *backend("openai"), route("chat", ("m", "openai")))
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
    load(cluster, namespace, gateway(), *backend("a"), *backend("b"), route("chat", ("m", "a")))
    made = cluster.wait(lambda: cluster.get("HTTPRoute", "chat", namespace), "HTTPRoute")
    cluster.patch(made, {"spec": {"hostnames": ["forged.example.com"]}})
    cluster.delete(cluster.get("HTTPRouteFilter", "ai-eg-host-rewrite-chat", namespace))
    cluster.patch(
        route_of(cluster, namespace),
        {"spec": {"rules": route("chat", ("m", "b"))["spec"]["rules"]}},
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
    load(
        cluster, namespace, gateway(), *backend("a"), resource(GW, "HTTPRoute", "chat", rules=[{}])
    )
    before = cluster.get("HTTPRoute", "chat", namespace)
    load(cluster, namespace, route("chat", ("m", "a")))
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


def test_what_others_add_is_taken_back(cluster: Cluster, namespace: str) -> None:
    load(cluster, namespace, gateway(), *backend("a"), route("chat", ("m", "a")))
    rewrite = ("HTTPRouteFilter", "ai-eg-host-rewrite-chat")
    http = ("HTTPRoute", "chat")
    made = {
        key: cluster.wait(lambda key=key: cluster.get(*key, namespace), key[1])
        for key in (rewrite, http)
    }
    regex = {"pattern": "^/", "substitution": "/forged/"}
    path = {"type": "ReplaceRegexMatch", "replaceRegexMatch": regex}
    cluster.patch(made[rewrite], {"spec": {"urlRewrite": {"path": path}}})
    rules = copy.deepcopy(made[http]["spec"]["rules"])
    rules[0]["matches"][0]["method"] = "DELETE"
    forged = cluster.patch(made[http], {"spec": {"rules": rules}})
    assert forged["spec"] != made[http]["spec"]

    def healed() -> bool:
        found = {key: cluster.get(*key, namespace) or {} for key in made}
        return all(found[key].get("spec") == made[key]["spec"] for key in made)

    cluster.wait(healed, "the objects as they should be")


def test_an_http_route_comes_after_the_filters_that_it_names(
    cluster: Cluster, namespace: str
) -> None:
    name = "ai-eg-host-rewrite-chat"
    spec = {"urlRewrite": {"hostname": {"type": "Backend"}}}
    foreign = resource(EG, "HTTPRouteFilter", name, **spec)
    load(cluster, namespace, gateway(), *backend("a"), foreign, route("chat", ("m", "a")))
    refused = ("NotAccepted", "ReconciliationFailed")
    cluster.wait(
        lambda: conditions(cluster, "AIGatewayRoute", "chat", namespace)[-1:] == [refused],
        "refusal",
    )
    other = "ai-eg-route-not-found-response-chat"
    cluster.wait(lambda: cluster.get("HTTPRouteFilter", other, namespace), other)
    assert cluster.get("HTTPRoute", "chat", namespace) is None
    cluster.delete(cluster.get("HTTPRouteFilter", name, namespace))
    cluster.wait(lambda: cluster.get("HTTPRoute", "chat", namespace), "HTTPRoute")
    cluster.wait(
        lambda: conditions(cluster, "AIGatewayRoute", "chat", namespace)[-1:] == [ACCEPTED],
        "acceptance",
    )


def test_what_the_api_server_adds_by_default_is_no_reason_to_write(
    cluster: Cluster, namespace: str
) -> None:
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "none"}
    chat = route("chat", ("m", "a"), ("n", "b"), ("o", "none"))
    chat["spec"]["rules"][1]["backendRefs"][0]["weight"] = 2
    chat["spec"]["rules"][2]["backendRefs"] = [pool]
    chat["spec"] |= {"hostnames": ["a.example.com"]}
    load(cluster, namespace, gateway(), *backend("a"), *backend("b"), chat)
    http = cluster.wait(lambda: cluster.get("HTTPRoute", "chat", namespace), "HTTPRoute")
    objects = Objects()
    for kind in ("Gateway", "Backend", "AIServiceBackend", "AIGatewayRoute"):
        for document in cluster.list(kind, namespace):
            objects.put(document)
    view = Viewer(EndpointPrefixes()).view(objects)
    for identity, generated in view.generated.items():
        live = (
            http
            if identity.kind == "HTTPRoute"
            else cluster.get(identity.kind, identity.name, namespace)
        )
        owner = objects.get(generated.owner)
        assert live
        assert owner
        assert is_in_place(complete(generated, owner), live), live
