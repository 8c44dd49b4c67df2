"""The sidecar of Envoy's pods, and when it is put there."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aigw.api.container import KubernetesContainerSpec
from aigw.cli.errors import CommandError
from aigw.cli.pods import variables
from aigw.controller.bundle import base_name, part_name
from aigw.controller.injection import HASH, Settings, has_sidecar, injection, patch
from aigw.controller.rollout import Step, Workload, is_rolling, step
from aigw.controller.webhook import NotReadyError, Webhook

if TYPE_CHECKING:
    from aigw.controller.injection import Injection

Json = dict[str, Any]
EDGE = "default/edge"
SETTINGS = Settings(image="registry.example/aigw:1", controller="controller.aigw.svc:1065")
LABELS = {
    "gateway.envoyproxy.io/owning-gateway-name": "edge",
    "gateway.envoyproxy.io/owning-gateway-namespace": "default",
}


def pod(**spec: object) -> Json:
    containers = [{"name": "shutdown-manager"}, {"name": "envoy", "image": "envoy"}]
    return {"metadata": {"labels": LABELS}, "spec": {"containers": containers, **spec}}


def config(**members: object) -> KubernetesContainerSpec:
    return KubernetesContainerSpec.model_validate(members)


def patched(document: Json, operations: list[Json]) -> Json:
    """RFC 6902, `add` alone."""
    result = copy.deepcopy(document)
    for operation in operations:
        assert operation["op"] == "add"
        *path, last = operation["path"].strip("/").split("/")
        target: Any = result
        last = last.replace("~1", "/")
        for name in path:
            target = target[int(name) if isinstance(target, list) else name]
        if isinstance(target, list):
            assert last == "-"
            target.append(operation["value"])
        else:
            target[last] = operation["value"]
    return result


def injected(document: Json, added: Injection) -> Json:
    result = patched(document, patch(document, added))
    assert has_sidecar(result)
    spec: Json = result["spec"]
    return spec


@pytest.mark.parametrize("empty", [True, False])
def test_a_pod_gets_the_sidecar_beside_what_it_has(empty: bool) -> None:
    more: Json = {"volumes": [{"name": "certs"}], "initContainers": [{"name": "first"}]}
    given = pod() if empty else pod(**more, imagePullSecrets=[{"name": "mine"}])
    settings = replace(SETTINGS, pull_secrets=("mine", "ours"))
    spec = injected(given, injection(EDGE, settings, None))
    assert [item["name"] for item in spec["containers"]] == ["shutdown-manager", "envoy"]
    names = [item["name"] for item in spec["initContainers"]]
    assert names == [*([] if empty else ["first"]), "ai-gateway-extproc"]
    assert spec["initContainers"][-1]["restartPolicy"] == "Always"
    mount = {"name": "ai-gateway-extproc-uds", "mountPath": "/etc/ai-gateway-extproc-uds"}
    assert spec["containers"][1]["volumeMounts"] == [mount]
    assert spec["imagePullSecrets"] == [{"name": "mine"}, {"name": "ours"}]
    assert len(spec["volumes"]) == 4 + (not empty)


@pytest.mark.parametrize("annotations", [{}, {"other": "x"}, {HASH: "old", "other": "x"}])
def test_a_pod_says_which_sidecar_it_got(annotations: Json) -> None:
    document = pod()
    if annotations:
        document["metadata"]["annotations"] = annotations
    added = injection(EDGE, SETTINGS, None)
    result = patched(document, patch(document, added))
    assert result["metadata"]["annotations"] == {**annotations, HASH: added.hash}


def test_without_native_sidecars_it_is_one_more_container() -> None:
    spec = injected(pod(), injection(EDGE, replace(SETTINGS, is_native=False), None))
    assert "initContainers" not in spec
    assert spec["containers"][-1]["name"] == "ai-gateway-extproc"
    assert "restartPolicy" not in spec["containers"][-1]


@pytest.mark.parametrize("native", [True, False])
def test_a_pod_that_has_it_is_left_alone(native: bool) -> None:
    added = injection(EDGE, replace(SETTINGS, is_native=native), None)
    once = patched(pod(), patch(pod(), added))
    assert patch(once, injection(EDGE, SETTINGS, None)) == []


def test_all_slots_of_the_secret_set_are_mounted_and_none_is_required() -> None:
    volumes = {item["name"]: item for item in injection(EDGE, SETTINGS, None).volumes}
    sources = volumes["ai-gateway-extproc-bundle"]["projected"]["sources"]
    base = base_name("default", "edge")
    paths = {source["secret"]["name"]: source["secret"]["items"][0]["path"] for source in sources}
    assert all(source["secret"]["optional"] for source in sources)
    assert paths[base] == "index.json"
    assert paths[part_name(base, "b", 3)] == "parts/b-3"
    assert len(paths) == 9


@pytest.mark.parametrize(
    ("default", "settings", "expected"),
    [
        ("a/b:1", {}, "a/b:1"),
        ("a/b:1", {"image": "c/d:2"}, "c/d:2"),
        ("a/b:1", {"imageRepository": "c/d"}, "c/d:1"),
        ("a:5000/b", {"imageRepository": "c/d"}, "c/d"),
        ("a:5000/b:1", {"imageRepository": "c/d"}, "c/d:1"),
        ("a/b:1@sha256:12", {"imageRepository": "c/d"}, "c/d@sha256:12"),
    ],
)
def test_the_image_is_that_of_the_config_with_our_tag(
    default: str, settings: Json, expected: str
) -> None:
    added = injection(EDGE, replace(SETTINGS, image=default), config(**settings))
    assert added.container["image"] == expected


def test_variables_of_the_config_replace_ours_in_place() -> None:
    settings = replace(SETTINGS, env=(("A", "1"), ("B", "2")))
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    env = [{"name": "C", "valueFrom": source}, {"name": "A", "value": "x"}]
    assert injection(EDGE, settings, config(env=env)).container["env"] == [
        {"name": "A", "value": "x"},
        {"name": "B", "value": "2"},
        {"name": "C", "valueFrom": source},
    ]


def test_security_is_replaced_as_a_whole_and_mounts_are_added() -> None:
    mount = {"name": "extra", "mountPath": "/extra"}
    settings = config(
        securityContext={"runAsUser": 7},
        volumeMounts=[mount],
        resources={"limits": {"memory": "1Gi"}},
    )
    container = injection(EDGE, SETTINGS, settings).container
    assert container["securityContext"] == {"runAsUser": 7}
    assert container["volumeMounts"][-1] == mount
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    assert injection(EDGE, SETTINGS, None).container["securityContext"]["runAsNonRoot"]


@pytest.mark.parametrize(
    "other",
    [
        {"image": "other:1"},
        {"controller": "other:1065"},
        {"pull_policy": "Always"},
        {"pull_secrets": ("a",)},
        {"env": (("A", "1"),)},
        {"log_level": "debug"},
        {"is_native": False},
    ],
)
def test_every_setting_changes_the_hash(other: Json) -> None:
    known = injection(EDGE, SETTINGS, None).hash
    assert injection(EDGE, replace(SETTINGS, **other), None).hash != known


def test_the_hash_is_stable_and_knows_no_difference_without_a_difference() -> None:
    known = injection(EDGE, SETTINGS, None).hash
    assert injection(EDGE, SETTINGS, config()).hash == known
    assert injection(EDGE, SETTINGS, config(env=[])).hash == known
    assert injection(EDGE, SETTINGS, config(env=[{"name": "A", "value": ""}])).hash != known


# --- the webhook's answers ---


def answer(document: Json, *, served: bool | None = True) -> Json:
    def is_served(_: str) -> bool:
        if served is None:
            message = "not seen yet"
            raise NotReadyError(message)
        return served

    return Webhook(is_served, lambda name: injection(name, SETTINGS, None)).answer(document)


def test_pods_of_gateways_with_routes_get_it() -> None:
    found = answer(pod())
    assert found["patchType"] == "JSONPatch"
    operations = json.loads(base64.b64decode(found["patch"]))
    assert has_sidecar(patched(pod(), operations))


def test_pods_without_a_gateway_or_without_routes_are_left_alone() -> None:
    assert answer({"metadata": {}, "spec": {"containers": []}}, served=None) == {"allowed": True}
    assert answer(pod(), served=False) == {"allowed": True}


def test_a_template_that_asks_for_it_is_believed() -> None:
    asking = pod()
    asking["metadata"]["annotations"] = {HASH: "12"}
    assert "patch" in answer(asking, served=False)


def test_a_pod_is_denied_while_nothing_is_known() -> None:
    found = answer(pod(), served=None)
    assert not found["allowed"]
    expected = "ai-gateway-extproc of Gateway default/edge: not seen yet"
    assert found["status"] == {"code": 503, "message": expected}


def test_a_pod_without_envoy_is_let_through_with_a_warning() -> None:
    document = pod()
    document["spec"]["containers"] = [{"name": "other"}]
    assert answer(document) == {
        "allowed": True,
        "warnings": ["no sidecar: no container is named envoy"],
    }


# --- rollouts ---


def workload(*pods: Json, asks: str = "", kind: str = "Deployment", **status: int) -> Workload:
    annotations = {HASH: asks} if asks else {}
    steady = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}
    document = {
        "kind": kind,
        "metadata": {"generation": 2},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
        "status": status or steady,
    }
    return Workload(document, pods)


def holding(value: str) -> Json:
    containers = [{"name": "ai-gateway-extproc"}]
    return {"metadata": {"annotations": {HASH: value}}, "spec": {"initContainers": containers}}


NEW, OLD = holding("new"), holding("old")
WITHOUT: Json = {"metadata": {}, "spec": {"containers": [{"name": "envoy"}]}}
MISSED: Json = {"metadata": {"annotations": {HASH: "new"}}, "spec": {}}
ENDING: Json = {"metadata": {"deletionTimestamp": "now"}, "spec": {}}


@pytest.mark.parametrize(
    ("pods", "asks", "wanted", "expected"),
    [
        ([NEW], "new", "new", Step.NOTHING),
        ([NEW], "", "new", Step.NOTHING),
        ([OLD], "old", "new", Step.TEMPLATE),
        ([OLD], "", "new", Step.TEMPLATE),
        ([OLD, NEW], "old", "new", Step.TEMPLATE),
        ([WITHOUT], "", "new", Step.TEMPLATE),
        ([MISSED], "new", "new", Step.AGAIN),
        ([OLD], "new", "new", Step.AGAIN),
        ([NEW, WITHOUT], "new", "new", Step.AGAIN),
        ([NEW, ENDING], "new", "new", Step.NOTHING),
        ([], "new", "new", Step.NOTHING),
        ([], "", "new", Step.NOTHING),
        ([OLD], "old", "", Step.TEMPLATE),
        ([OLD], "", "", Step.AGAIN),
        ([WITHOUT], "", "", Step.NOTHING),
        ([], "", "", Step.NOTHING),
    ],
)
def test_pods_are_made_anew_when_they_have_another_sidecar(
    pods: list[Json], asks: str, wanted: str, expected: Step
) -> None:
    assert step(workload(*pods, asks=asks), wanted) is expected


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("Deployment", {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}, True),
        ("Deployment", {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}, True),
        ("Deployment", {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}, False),
        ("Deployment", {"observedGeneration": 2}, False),
        ("DaemonSet", {"observedGeneration": 0}, False),
        ("DaemonSet", {"observedGeneration": 1}, True),
        ("DaemonSet", {"observedGeneration": 2, "currentNumberScheduled": 2}, True),
        (
            "DaemonSet",
            {"observedGeneration": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2},
            False,
        ),
    ],
)
def test_a_running_rollout_is_waited_for(kind: str, status: Json, expected: bool) -> None:
    running = workload(WITHOUT, kind=kind, **status)
    assert is_rolling(running.document) is expected
    assert (step(running, "new") is Step.WAIT) is expected


# --- arguments ---


def test_variables_are_pairs_whose_values_may_hold_anything() -> None:
    assert variables(" A=1;; B = x=y,z ;") == (("A", "1"), ("B", " x=y,z"))
    assert variables("") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "A=1;B",
            'invalid env var pair at position 2: "B" (expected format: KEY=value)',
        ),
        (";=x", 'empty env var name at position 2: "=x"'),
    ],
)
def test_bad_variables_are_named_with_their_position(text: str, problem: str) -> None:
    with pytest.raises(CommandError) as caught:
        variables(text)
    assert str(caught.value) == f"invalid extProc extra env vars: {problem}"
