"""The bed itself: Envoy Gateway with Envoys as pods, which a webhook changes."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from beds.authority import Authority
from kube.bed.envoy_gateway import NAMESPACE, Mode
from kube.bed.plain_route import answers, plain_route
from kube.bed.pod_network import publish_service

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from beds.ports import FreePorts
    from beds.provider import ProviderBed
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateways
    from kube.bed.kubelet import Kubelet
    from kube.bed.pod import Pod

Json = dict[str, Any]
PORT = 8088
SIDECAR = {
    "name": "sidecar",
    "image": "registry.example/python:3",
    "args": ["-c", "import time, os; print(os.listdir('/shared')); time.sleep(3600)"],
    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
}
PATCH = [
    {"op": "add", "path": "/spec/containers/-", "value": SIDECAR},
    {"op": "add", "path": "/spec/volumes/-", "value": {"name": "shared", "emptyDir": {}}},
]


class Injector(BaseHTTPRequestHandler):
    """Puts a container into each pod that it is asked about."""

    def do_POST(self) -> None:
        """Answer an AdmissionReview."""
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        patch = base64.b64encode(json.dumps(PATCH).encode()).decode()
        review["response"] = {
            "uid": review["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": patch,
        }
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def injector(
    cluster: Cluster, namespace: str, kubelet: Kubelet, free_port: FreePorts
) -> Iterator[None]:
    """A webhook that changes the pods of Envoy Gateway's Deployments."""
    authority = Authority()
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Injector)
    context: ssl.SSLContext = authority.server(f"inject.{namespace}.svc")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = kubelet.doors.open(server.server_port)
    publish_service(cluster, namespace, "inject", address, server.server_port)
    hook = cluster.apply(webhook(namespace, server.server_port, authority.pem))
    yield
    cluster.delete(hook)
    server.shutdown()
    thread.join()
    server.server_close()


def webhook(namespace: str, port: int, ca: str) -> Json:
    """What the API server asks about new pods of Envoys."""
    service = {"namespace": namespace, "name": "inject", "port": port}
    bundle = base64.b64encode(ca.encode()).decode()
    resources = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    labels = {"app.kubernetes.io/managed-by": "envoy-gateway"}
    hook = {
        "name": "inject.test.example",
        "clientConfig": {"service": service, "caBundle": bundle},
        "rules": [{"operations": ["CREATE"], **resources}],
        "objectSelector": {"matchLabels": labels},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    return {**head, "metadata": {"name": "inject"}, "webhooks": [hook]}


@pytest.mark.usefixtures("injector")
def test_an_envoy_pod_serves_with_what_was_injected_and_goes_with_its_gateway(
    cluster: Cluster,
    namespace: str,
    envoy_gateways: EnvoyGateways,
    kubelet: Kubelet,
    provider: ProviderBed,
) -> None:
    running = envoy_gateways({}, Mode.PODS)
    address = kubelet.doors.open(provider.port)
    objects = cluster.load(plain_route(PORT, address, provider.port), namespace)
    name = f"envoy-{namespace}-web"
    pod = running.program.wait(lambda: ready_pod(kubelet, name), "Envoy pod", 40)
    names = [container.spec["name"] for container in pod.containers]
    assert names == ["envoy", "shutdown-manager", "sidecar"]
    assert "[]" in kubelet.log(NAMESPACE, name, "sidecar")
    url = f"http://{pod.net.address}:{PORT}/v1/models"
    running.program.wait(lambda: answers(url), "answer through Envoy", 20)
    assert provider.received[-1].path == "/v1/models"
    gateway = next(item for item in objects if item["kind"] == "Gateway")
    cluster.delete(gateway)
    cluster.wait(lambda: not kubelet.pods(NAMESPACE), "end of the Envoy")


def ready_pod(kubelet: Kubelet, name: str) -> Pod | None:
    """The pod of a Deployment, once it is ready."""
    return next((pod for pod in kubelet.pods(NAMESPACE, name) if pod.is_ready), None)
