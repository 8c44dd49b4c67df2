"""One pod: its containers as local processes, each in a private root with the pod's volumes.

Not as in a cluster: everything runs as the user of the tests, `command` gives way to the command
that stands for the image, hooks are not called, and exec probes count as passed.
"""

from __future__ import annotations

import contextlib
import datetime
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from kube.bed.api_server import NODE_ADDRESS
from kube.bed.pod_files import NotYet, PodFiles, substituted
from kube.bed.pod_network import hosts_file
from kube.bed.process import Program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kube.bed.cluster import Cluster
    from kube.bed.pod_network import PodAddress

Json = dict[str, Any]
Images = dict[str, list[str]]
_RESTART_DELAY = 0.5
_PROBE_TIMEOUT = 1.0


@dataclass(slots=True)
class Container:
    """A container of a pod."""

    spec: Json
    is_sidecar: bool = False
    program: Program | None = None
    restarts: int = 0
    started: float = 0.0
    is_ready: bool = False

    @property
    def exit_code(self) -> int | None:
        """How it ended, if it has."""
        return self.program.process.poll() if self.program else None

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.program is not None and self.exit_code is None

    def status(self) -> Json:
        """What the pod's status says about it."""
        state: Json = {"waiting": {"reason": "PodInitializing"}}
        if self.exit_code is not None:
            state = {"terminated": {"exitCode": self.exit_code}}
        elif self.program is not None:
            at = datetime.datetime.fromtimestamp(self.started, datetime.UTC)
            state = {"running": {"startedAt": at.strftime("%Y-%m-%dT%H:%M:%SZ")}}
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": self.spec["image"],
            "ready": self.is_ready,
            "started": self.is_running,
            "restartCount": self.restarts,
            "state": state,
        }


@dataclass(slots=True)
class Surroundings:
    """What the pods of a node have in common."""

    cluster: Cluster
    private_root: Path
    images: Images
    services: dict[str, str] = field(default_factory=dict)

    def command(self, image: str) -> list[str]:
        """What runs in place of an image.

        Raises:
            NotYet: nothing is known for it.
        """
        for part, command in self.images.items():
            if part in image:
                return command
        message = f"a command for image {image}"
        raise NotYet(message)


class Pod:
    """A pod that this node runs."""

    def __init__(self, document: Json, folder: Path, node: Surroundings, net: PodAddress) -> None:
        """Know it; `advance` starts it."""
        self.document = document
        self.folder = folder
        self.net = net
        self.waits_for = ""
        self._node = node
        self._files = PodFiles(node.cluster, document, folder, net.address)
        spec = document["spec"]
        self.init = [
            Container(item, item.get("restartPolicy") == "Always")
            for item in spec.get("initContainers", [])
        ]
        self.containers = [Container(item) for item in spec["containers"]]
        self._reported: Json = {}
        folder.mkdir(parents=True)

    @property
    def everything(self) -> list[Container]:
        """All containers."""
        return [*self.init, *self.containers]

    @property
    def is_ready(self) -> bool:
        """Whether all of its containers are."""
        return all(container.is_ready for container in self.containers)

    def sync(self) -> None:
        """Bring files up to date."""
        metadata = self.document["metadata"]
        hosts = hosts_file(
            self._node.services, metadata["name"], self.net.address, metadata["namespace"]
        )
        (self.folder / "hosts").write_text(hosts)
        self._files.sync()

    def advance(self) -> None:
        """Start what can be started, look after what runs, report."""
        try:
            if self._initialised():
                for container in self.containers:
                    self._keep(container)
            self.waits_for = ""
        except NotYet as missing:
            self.waits_for = str(missing)
        for container in self.everything:
            container.is_ready = self._is_ready(container)
        self._report()

    def stop(self) -> None:
        """End all containers."""
        programs = [item.program for item in self.everything if item.program is not None]
        for program in programs:
            with contextlib.suppress(ProcessLookupError):
                program.process.send_signal(signal.SIGTERM)
        for program in programs:
            program.stop()
        self.net.close()

    def _initialised(self) -> bool:
        for container in self.init:
            if container.exit_code == 0 and not container.is_sidecar:
                continue
            self._keep(container)
            if not (container.is_sidecar and self._passes(container, "startupProbe")):
                return False
        return True

    def _keep(self, container: Container) -> None:
        if container.program is None:
            self.sync()
            self._start(container)
        elif self._is_due(container):
            container.restarts += 1
            self._start(container)

    def _is_due(self, container: Container) -> bool:
        has_ended = container.exit_code is not None and self._is_restarted(container)
        return has_ended and time.time() - container.started > _RESTART_DELAY

    def _is_restarted(self, container: Container) -> bool:
        policy = self.document["spec"].get("restartPolicy", "Always")
        if container.is_sidecar or policy == "Always":
            return True
        return policy == "OnFailure" and container.exit_code != 0

    def _start(self, container: Container) -> None:
        spec = container.spec
        variables = self._files.environment(spec)
        arguments = [substituted(item, variables) for item in spec.get("args", [])]
        command = [*self._node.command(spec["image"]), *arguments]
        container.program = Program.start(
            spec["name"],
            [*self.net.enter, self._node.private_root, ",".join(self._binds(spec)), *command],
            self.folder,
            {**self._given(), **variables},
        )
        container.started = time.time()

    def _given(self) -> Mapping[str, str]:
        port = self._node.cluster.server.url.rpartition(":")[2]
        return {
            "HOSTNAME": self.document["metadata"]["name"],
            "KUBERNETES_SERVICE_HOST": NODE_ADDRESS,
            "KUBERNETES_SERVICE_PORT": port,
        }

    def _binds(self, spec: Json) -> list[str]:
        binds = [f"{self.folder / 'hosts'}:/etc/hosts"]
        for mount in spec.get("volumeMounts", []):
            source = self._files.volume(mount["name"])
            if "subPath" in mount:
                source = (source / mount["subPath"]).resolve()
            binds.append(f"{source}:{mount['mountPath']}")
        return binds

    def _is_ready(self, container: Container) -> bool:
        if not container.is_running:
            return False
        return all(self._passes(container, name) for name in ("startupProbe", "readinessProbe"))

    def _passes(self, container: Container, name: str) -> bool:
        if not container.is_running:
            return False
        probe = container.spec.get(name) or {}
        if "httpGet" in probe:
            return self._answers(container, probe["httpGet"])
        for member in ("tcpSocket", "grpc"):
            if member in probe:
                return self._listens(self._port(container, probe[member]["port"]))
        return True

    def _answers(self, container: Container, probe: Json) -> bool:
        scheme = probe.get("scheme", "HTTP").lower()
        port = self._port(container, probe["port"])
        url = f"{scheme}://{self.net.address}:{port}{probe.get('path', '/')}"
        try:
            reply = httpx.get(url, verify=False, timeout=_PROBE_TIMEOUT)  # noqa: S501 - as kubelets
        except httpx.TransportError:
            return False
        return 200 <= reply.status_code < 400

    def _listens(self, port: int) -> bool:
        try:
            socket.create_connection((self.net.address, port), _PROBE_TIMEOUT).close()
        except OSError:
            return False
        return True

    def _port(self, container: Container, port: int | str) -> int:
        named = {
            item.get("name"): item["containerPort"] for item in container.spec.get("ports", [])
        }
        return int(named.get(port, port))

    def _report(self) -> None:
        status = self._status()
        if status != self._reported:
            self._node.cluster.patch_status(self.document, status)
            self._reported = status

    def _status(self) -> Json:
        conditions = {
            "Initialized": bool(self.containers[0].program),
            "ContainersReady": self.is_ready,
            "Ready": self.is_ready,
        }
        return {
            "phase": self._phase(),
            "podIP": self.net.address,
            "podIPs": [{"ip": self.net.address}],
            "hostIP": NODE_ADDRESS,
            "conditions": [
                {"type": name, "status": str(value)} for name, value in conditions.items()
            ],
            "initContainerStatuses": [item.status() for item in self.init],
            "containerStatuses": [item.status() for item in self.containers],
        }

    def _phase(self) -> str:
        codes = [item.exit_code for item in self.containers]
        if all(item.program is None for item in self.containers):
            return "Pending"
        if None in codes or any(self._is_restarted(item) for item in self.containers):
            return "Running"
        return "Failed" if any(codes) else "Succeeded"
