"""A node without containers: takes every pod of the cluster and runs it as local processes."""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kube.bed.cluster import Refused
from kube.bed.envoy_gateway import PRIVATE_ROOT
from kube.bed.pod import Images, Pod, Surroundings
from kube.bed.pod_files import NODE, NotYet
from kube.bed.pod_network import PodNetwork, names
from kube.bed.process import BedError

if TYPE_CHECKING:
    from pathlib import Path

    from kube.bed.cluster import Cluster
    from kube.bed.doors import Doors

Json = dict[str, Any]
_INTERVAL = 0.1


@dataclass(slots=True)
class Kubelet:
    """Scheduler and kubelet of the one node.

    `images` maps a part of an image's name to the command that runs in its place; a container's
    `args` follow it. Secrets and ConfigMaps reach running pods after `sync_delay` seconds; real
    kubelets take a minute. `doors.open(port)` lets pods reach a server of a test.
    """

    cluster: Cluster
    folder: Path
    images: Images
    doors: Doors
    sync_delay: float = 0.3
    _pods: dict[str, Pod] = field(default_factory=dict)
    _ends: threading.Event = field(default_factory=threading.Event)
    _failures: list[str] = field(default_factory=list)
    _network: PodNetwork | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Become a node of the cluster."""
        self.cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        self._network = PodNetwork()
        self._thread = threading.Thread(target=self._work, name="kubelet")
        self._thread.start()

    def stop(self) -> None:
        """End all pods.

        Raises:
            BedError: the node did not work.
        """
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
        self.doors.close()
        if self._network is not None:
            self._network.close()
        if self._failures:
            raise BedError("\n".join(self._failures))

    def pods(self, namespace: str, prefix: str = "") -> list[Pod]:
        """The pods of a namespace, or those of a Deployment of that name.

        Raises:
            BedError: the node does not work.
        """
        if self._failures:
            raise BedError(self._failures[0])
        found = []
        for pod in list(self._pods.values()):
            metadata = pod.document["metadata"]
            if metadata["namespace"] == namespace and metadata["name"].startswith(prefix):
                found.append(pod)
        return found

    def log(self, namespace: str, prefix: str, container: str) -> str:
        """What a container of these pods has written."""
        files = [pod.folder / f"{container}.log" for pod in self.pods(namespace, prefix)]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def _work(self) -> None:
        """Runs in a thread; processes die with it, so it ends them itself."""
        node = Surroundings(self.cluster, PRIVATE_ROOT, self.images)
        synced = 0.0
        while not self._ends.wait(_INTERVAL):
            try:
                is_due = time.monotonic() - synced >= self.sync_delay
                if is_due:
                    node.services = names(self.cluster)
                    synced = time.monotonic()
                self._round(node, is_due=is_due)
            except Exception:
                self._failures.append(traceback.format_exc())
        for pod in self._pods.values():
            pod.stop()

    def _round(self, node: Surroundings, *, is_due: bool) -> None:
        found = {item["metadata"]["uid"]: item for item in self.cluster.list("Pod")}
        for uid, document in found.items():
            try:
                self._take(uid, document, node, is_due=is_due)
            except Refused as error:
                # Deleted or changed meanwhile: the next round sees it.
                if error.code not in {404, 409}:
                    raise
        for uid in set(self._pods) - set(found):
            self._pods.pop(uid).stop()

    def _take(self, uid: str, document: Json, node: Surroundings, *, is_due: bool) -> None:
        pod = self._pods.get(uid)
        if "deletionTimestamp" in document["metadata"]:
            if pod is not None:
                self._pods.pop(uid).stop()
            self.cluster.delete(document, gracePeriodSeconds="0")
        elif "nodeName" not in document["spec"]:
            self._bind(document)
        elif pod is None:
            self._pods[uid] = self._new(document, node)
        else:
            if is_due:
                self._sync(pod)
            pod.advance()

    def _bind(self, document: Json) -> None:
        name = {"name": document["metadata"]["name"]}
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": name, "target": target}
        self.cluster.post(document, "binding", body)

    def _new(self, document: Json, node: Surroundings) -> Pod:
        assert self._network is not None
        metadata = document["metadata"]
        folder = self.folder / f"{metadata['namespace']}-{metadata['name']}"
        shutil.rmtree(folder, ignore_errors=True)
        return Pod(document, folder, node, self._network.new_address())

    def _sync(self, pod: Pod) -> None:
        try:
            pod.sync()
        except NotYet as missing:
            pod.waits_for = str(missing)
