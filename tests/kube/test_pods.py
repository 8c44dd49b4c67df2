"""The bed itself: Deployments run as local processes that see what pods see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from kube.bed.cluster import Cluster
    from kube.bed.kubelet import Kubelet
    from kube.bed.pod import Pod

Json = dict[str, Any]
# Answers with a file or a variable that the path names.
SERVER = """
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        path = pathlib.Path(self.path)
        text = path.read_text() if path.is_file() else os.environ.get(name, "")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
http.server.HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""
# What a client library does inside of a cluster.
ASKER = """
import os, pathlib, ssl, urllib.error, urllib.request
folder = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
host, port = (os.environ[f"KUBERNETES_SERVICE_{name}"] for name in ("HOST", "PORT"))
head = {"authorization": "Bearer " + (folder / "token").read_text()}
request = urllib.request.Request(f"https://{host}:{port}/api/v1/nodes", headers=head)
try:
    urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder / "ca.crt"))
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
MANIFEST = """
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {apiKey: first}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/python:3
          args: [-c, SERVER]
          env:
            - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: KEY, valueFrom: {secretKeyRef: {name: key, key: apiKey}}}
          volumeMounts: [{name: key, mountPath: /keys}]
          readinessProbe: {httpGet: {path: /, port: 8000}}
      volumes:
        - {name: key, secret: {secretName: key}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8000}]}
"""


def deploy(cluster: Cluster, namespace: str) -> Json:
    """A Deployment whose pod is ready."""
    manifest = MANIFEST.replace("SERVER", json.dumps(SERVER))
    applied = {item["kind"]: item for item in cluster.load(manifest, namespace)}
    return cluster.wait_for_condition(applied["Deployment"], "Available")


def ask(pod: Pod, path: str) -> str:
    """What the server in a pod answers."""
    return httpx.get(f"http://{pod.net.address}:8000{path}").text


def test_a_pod_sees_its_environment_and_its_volumes(
    cluster: Cluster, namespace: str, kubelet: Kubelet
) -> None:
    deploy(cluster, namespace)
    (pod,) = kubelet.pods(namespace, "web")
    assert ask(pod, "/POD") == pod.document["metadata"]["name"]
    assert ask(pod, "/KEY") == "first"
    assert ask(pod, "/keys/apiKey") == "first"
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert ask(pod, token).count(".") == 2
    cluster.load(MANIFEST.partition("---")[0].replace("first", "second"), namespace)
    cluster.wait(lambda: ask(pod, "/keys/apiKey") == "second", "new Secret in the pod")


def test_pods_find_services_by_name(cluster: Cluster, namespace: str, kubelet: Kubelet) -> None:
    deploy(cluster, namespace)
    (pod,) = kubelet.pods(namespace, "web")
    line = f"{pod.net.address} web.{namespace}.svc.cluster.local"
    cluster.wait(lambda: line in ask(pod, "/etc/hosts"), "name of the Service")


def test_a_new_template_replaces_the_pod_without_a_gap(
    cluster: Cluster, namespace: str, kubelet: Kubelet
) -> None:
    deployment = deploy(cluster, namespace)
    (old,) = kubelet.pods(namespace, "web")
    annotations = {"metadata": {"annotations": {"edition": "2"}}}
    cluster.patch(deployment, {"spec": {"template": annotations}})

    def only_new() -> Pod | None:
        pods = kubelet.pods(namespace, "web")
        assert any(pod.is_ready for pod in pods)
        return pods[0] if len(pods) == 1 and pods[0] is not old else None

    new = cluster.wait(only_new, "new pod alone")
    assert new.net.address != old.net.address


def test_what_belongs_to_a_deployment_goes_with_it(
    cluster: Cluster, namespace: str, kubelet: Kubelet
) -> None:
    deployment = deploy(cluster, namespace)
    cluster.delete(deployment)
    cluster.wait(lambda: not kubelet.pods(namespace), "end of the pod")
    cluster.wait(lambda: not cluster.list("ReplicaSet", namespace), "end of the ReplicaSet")


def test_a_pod_speaks_to_the_api_server_as_its_account(
    cluster: Cluster, namespace: str, kubelet: Kubelet
) -> None:
    container = {"name": "ask", "image": "registry.example/python:3", "args": ["-c", ASKER]}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ask", "namespace": namespace},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    cluster.create(document)

    def has_ended() -> bool:
        pod = cluster.get("Pod", "ask", namespace) or {}
        phase: str = pod["status"]["phase"]
        return phase == "Succeeded"

    cluster.wait(has_ended, "end of the pod")
    said = kubelet.log(namespace, "ask", "ask")
    assert said.startswith("403")
    assert f"system:serviceaccount:{namespace}:default" in said
