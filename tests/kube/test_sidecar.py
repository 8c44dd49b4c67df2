"""Envoys as pods: sidecars come by the webhook, and are fed and replaced by the controller."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from aigw.controller.bundle import base_name, client_name
from aigw.providers import FakeProvider
from beds.provider import ProviderBed
from beds.resources import BackendSpec, api_key, gateway_yaml, rule
from kube.bed.api_server import NODE_ADDRESS
from kube.bed.envoy_gateway import NAMESPACE, Mode
from kube.bed.pod_network import publish_service
from kube.bed.process import Program
from kube.extension_bed import settings_of_envoy_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beds.ports import FreePorts
    from beds.provider import LoopThread
    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateways
    from kube.bed.kubelet import Kubelet
    from kube.bed.pod import Container, Pod

Json = dict[str, Any]
SYSTEM, TEAM, SERVICE = "aigw-system", "team-pods", "ai-gateway-controller"
HOOK = f"envoy-ai-gateway-gateway-pod-mutator.{SYSTEM}"
IMAGE = "registry.example/extproc:1"
PORT = 8089
ENVOYS = f"envoy-{TEAM}-gw"
BASE = base_name(TEAM, "gw")


@dataclass
class Controllers:
    """Replicas of the controller; ports of the first one are those that others know."""

    api_server: ApiServer
    folder: Path
    ports: dict[str, int]
    running: dict[str, Program] = field(default_factory=dict)

    def start(self, name: str = "first", *more: str) -> Program:
        """One more replica; only the first one is reached by its Service."""
        own = self.ports if name == "first" else dict.fromkeys(self.ports, 0)
        command = [sys.executable, "-m", "aigw", "controller", f"--namespace={SYSTEM}"]
        command += [f"--kubeconfig={self.api_server.kubeconfig}", f"--extproc-image={IMAGE}"]
        command += [f"--{key}={NODE_ADDRESS}:{number}" for key, number in own.items()]
        if name == "first":
            command[-1] = f"--port=127.0.0.1:{own['port']}"
        self.running[name] = Program.start(name, [*command, *more], self.folder)
        return self.running[name]

    def stop(self, name: str = "first") -> None:
        """Ends a replica."""
        program = self.running.pop(name)
        program.stop()
        assert program.process.returncode == 0, program.log


@pytest.fixture(scope="module")
def controllers(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePorts,
    api_server: ApiServer,
    cluster: Cluster,
    kubelet: Kubelet,
    envoy_gateways: EnvoyGateways,
) -> Iterator[Controllers]:
    """One replica, its webhook, and Envoy Gateway."""
    cluster.new_namespace(SYSTEM)
    kubelet.images["registry.example/extproc"] = [sys.executable, "-m", "aigw.extproc"]
    ports = {name: free_port() for name in ("stream-port", "webhook-port", "port")}
    publish_service(cluster, SYSTEM, SERVICE, NODE_ADDRESS, ports["webhook-port"])
    hook = cluster.apply(webhook(ports["webhook-port"]))
    replicas = Controllers(api_server, tmp_path_factory.mktemp("controllers"), ports)
    first = replicas.start()
    first.wait(lambda: ca_bundle(cluster), "trust of the API server")
    envoy_gateways(settings_of_envoy_gateway(ports["port"]), Mode.PODS)
    yield replicas
    for name in list(replicas.running):
        replicas.stop(name)
    cluster.delete(hook)


def webhook(port: int) -> Json:
    hook = {
        "name": "ai-gateway-controller.aigw-system.svc.cluster.local",
        "clientConfig": {
            "service": {"namespace": SYSTEM, "name": SERVICE, "port": port, "path": "/mutate"}
        },
        "rules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"]}
            | {"resources": ["pods"]}
        ],
        "objectSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "envoy-gateway"}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    return {**head, "metadata": {"name": HOOK}, "webhooks": [hook]}


def ca_bundle(cluster: Cluster) -> str:
    found = cluster.get("MutatingWebhookConfiguration", HOOK) or {}
    text: str = found["webhooks"][0]["clientConfig"].get("caBundle", "")
    return text


@pytest.fixture(scope="module")
def bed(
    controllers: Controllers,
    cluster: Cluster,
    kubelet: Kubelet,
    loop_thread: LoopThread,
) -> Iterator[Bed]:
    """A Gateway with one AI route."""
    provider = ProviderBed(loop_thread, FakeProvider())
    cluster.new_namespace(TEAM)
    backend = BackendSpec("one", provider.port, auth=api_key("one", "first-key"))
    text = gateway_yaml(PORT, [backend], [rule("m", "one")])
    text = text.replace("gatewayClassName: aigw", "gatewayClassName: eg")
    text = text.replace("127.0.0.1", kubelet.doors.open(provider.port))
    bed = Bed(controllers, cluster, kubelet, provider)
    for item in yaml.safe_load_all(text):
        item["metadata"]["namespace"] = TEAM
        cluster.apply(item)
    bed.serves()
    yield bed
    kubelet.sync_delay = 0.3
    cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})
    # While the controller is there to take its finalizers away.
    cluster.wait(lambda: cluster.get("Namespace", TEAM) is None, "end of the namespace", 30)
    provider.stop()


@dataclass
class Bed:
    """The Gateway, its pod and its provider."""

    controllers: Controllers
    cluster: Cluster
    kubelet: Kubelet
    provider: ProviderBed

    def pod(self) -> Pod | None:
        """Its one pod that is ready and has a sidecar."""
        pods = [pod for pod in self.kubelet.pods(NAMESPACE, ENVOYS) if pod.is_ready]
        return next((pod for pod in pods if sidecar_of(pod)), None)

    def status(self) -> int:
        """Of a request to the Gateway."""
        pod = self.pod()
        if pod is None:
            return 0
        question = {"model": "m", "messages": [{"role": "user", "content": "When is high tide?"}]}
        url = f"http://{pod.net.address}:{PORT}/v1/chat/completions"
        try:
            return httpx.post(url, json=question, timeout=5).status_code
        except httpx.TransportError:
            return 0

    def serves(self, key: str = "first-key", timeout: float = 60) -> None:
        """Waits for an answer of the provider that was asked with this key."""

        def is_so() -> bool:
            if self.status() != 200:
                return False
            return self.provider.received[-1].header("authorization") == f"Bearer {key}"

        try:
            self.cluster.wait(is_so, f"answer with {key}", timeout)
        except Exception as error:
            pods = self.kubelet.pods(NAMESPACE, ENVOYS)
            seen = [(pod.is_ready, pod.waits_for, bool(sidecar_of(pod))) for pod in pods]
            log = self.kubelet.log(NAMESPACE, ENVOYS, "ai-gateway-extproc")[-2000:]
            controller = "".join(item.log[-3000:] for item in self.controllers.running.values())
            message = f"{self.status()} {seen}\n{log}\n{controller}"
            raise AssertionError(message) from error

    def change_key(self, key: str) -> None:
        """Another API key of the backend."""
        data = {"apiKey": base64.b64encode(key.encode()).decode()}
        metadata = {"name": "one", "namespace": TEAM}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        self.cluster.patch(secret, {"data": data})

    def restart_sidecar(self) -> None:
        """As if it had crashed."""
        pod = self.pod()
        assert pod is not None
        container = sidecar_of(pod)
        assert container is not None
        assert container.program is not None
        before = container.restarts
        container.program.process.kill()
        self.cluster.wait(lambda: container.restarts > before, "restart of the sidecar")


def sidecar_of(pod: Pod) -> Container | None:
    found = (item for item in pod.init if item.spec["name"] == "ai-gateway-extproc")
    return next(found, None)


def test_a_pod_gets_its_sidecar_and_serves(bed: Bed) -> None:
    pod = bed.pod()
    assert pod is not None
    assert [item.spec["name"] for item in pod.containers] == ["envoy", "shutdown-manager"]
    container = sidecar_of(pod)
    assert container is not None
    assert container.spec["image"] == IMAGE
    # Nothing but the Secrets of the set is there for the pods.
    names = [item["metadata"]["name"] for item in bed.cluster.list("Secret", NAMESPACE)]
    assert [name for name in names if name.startswith(f"gw-{TEAM}")] == sorted(
        [BASE, client_name(BASE), f"{BASE}-part-000"]
    )


def test_another_gateway_config_makes_the_pods_anew(bed: Bed) -> None:
    before = bed.pod()
    assert before is not None
    env = [{"name": "AIGW_TEST", "value": "changed"}]
    config: Json = {
        "apiVersion": "aigateway.envoyproxy.io/v1beta1",
        "kind": "GatewayConfig",
        "metadata": {"name": "large", "namespace": TEAM},
        "spec": {"extProc": {"kubernetes": {"env": env}}},
    }
    bed.cluster.apply(config)
    gateway = bed.cluster.get("Gateway", "gw", TEAM)
    assert gateway is not None
    chosen = {"aigateway.envoyproxy.io/gateway-config": "large"}
    bed.cluster.patch(gateway, {"metadata": {"annotations": chosen}})

    def is_new() -> bool:
        pods = bed.kubelet.pods(NAMESPACE, ENVOYS)
        containers = [sidecar_of(pod) for pod in pods if pod.is_ready]
        return [item.spec.get("env") for item in containers if item] == [env] and len(pods) == 1

    bed.cluster.wait(is_new, "pods with the variable", 60)
    bed.serves()


def test_the_stream_is_quick_where_mounted_secrets_are_late(bed: Bed) -> None:
    bed.kubelet.sync_delay = 60
    before = index(bed.cluster)["side"]
    bed.change_key("second-key")
    bed.serves("second-key", timeout=5)
    bed.cluster.wait(lambda: index(bed.cluster)["side"] != before, "the other side of the set")


def test_a_sidecar_begins_with_its_mounted_secrets_while_the_controller_is_away(bed: Bed) -> None:
    bed.kubelet.sync_delay = 0.3
    bed.controllers.stop()
    try:
        bed.restart_sidecar()
        bed.serves("second-key")
    finally:
        bed.controllers.start()
    bed.change_key("third-key")
    bed.serves("third-key")


def test_pods_wait_for_the_webhook(bed: Bed) -> None:
    pod = bed.pod()
    assert pod is not None
    bed.controllers.stop()
    bed.cluster.delete(pod.document)
    bed.cluster.wait(lambda: not bed.kubelet.pods(NAMESPACE, ENVOYS), "end of the pod")
    bed.controllers.start()
    bed.serves("third-key")


def test_a_second_replica_answers_with_the_same_authority_and_takes_over(bed: Bed) -> None:
    second = bed.controllers.start("second")
    second.wait(lambda: "ready" in second.log, "second replica")
    trusted, before = ca_bundle(bed.cluster), index(bed.cluster)
    bed.controllers.stop()
    bed.change_key("fourth-key")
    bed.cluster.wait(lambda: index(bed.cluster) != before, "another set by the second replica")
    bed.controllers.start()
    bed.serves("fourth-key")
    bed.controllers.stop("second")
    assert ca_bundle(bed.cluster) == trusted


def test_certificates_that_end_soon_are_renewed_and_nobody_notices(bed: Bed) -> None:
    bed.controllers.stop()
    metadata = {"name": client_name(BASE), "namespace": NAMESPACE}
    bed.cluster.delete({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    bed.controllers.start("first", "--certificate-days=0.0002")
    first = bed.cluster.wait(lambda: client_certificate(bed.cluster), "certificate of the pods")
    bed.cluster.wait(lambda: client_certificate(bed.cluster) != first, "renewal", 30)
    bed.restart_sidecar()
    bed.change_key("fifth-key")
    bed.serves("fifth-key")


def test_secrets_go_with_their_gateway(bed: Bed) -> None:
    gateway = bed.cluster.get("Gateway", "gw", TEAM)
    assert gateway is not None
    bed.cluster.delete(gateway)
    labels = {"aigateway.envoyproxy.io/gateway-name": "gw"}

    def is_empty() -> bool:
        return not bed.cluster.list("Secret", NAMESPACE, labels)

    bed.cluster.wait(is_empty, "end of the Secrets", 30)


def client_certificate(cluster: Cluster) -> str:
    found = cluster.get("Secret", client_name(BASE), NAMESPACE) or {"data": {}}
    text: str = found["data"].get("tls.crt", "")
    return text


def index(cluster: Cluster) -> Json:
    found: Json = json.loads(cluster.secret(NAMESPACE, BASE)["index.json"])
    return found
