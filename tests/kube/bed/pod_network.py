"""Addresses for pods: each has a network namespace, joined to a bridge in the network of the tests.

There are no proxies for Services: a name of a Service stands for one of its endpoints, so ports
are those of the pods.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from kube.bed.api_server import NODE_ADDRESS
from kube.bed.process import wait

if TYPE_CHECKING:
    from kube.bed.cluster import Cluster

_BRIDGE = "cbr0"
_NETWORK = NODE_ADDRESS.rpartition(".")[0]
_FIRST_POD = 2


class PodAddress:
    """The network namespace of a pod, held by a process that sleeps."""

    def __init__(self, number: int) -> None:
        """Join it to the bridge.

        Raises:
            subprocess.CalledProcessError: the machine does not let us.
        """
        self.address = f"{_NETWORK}.{number}"
        self._holder = subprocess.Popen(["unshare", "--net", "--", "sleep", "infinity"])
        pid = self._holder.pid
        own = Path("/proc/thread-self/ns/net").readlink()
        try:
            wait(lambda: Path(f"/proc/{pid}/ns/net").readlink() != own, "network namespace")
            veth = f"veth{number}"
            _ip(
                f"link add {veth} type veth peer name eth0 netns {pid}",
                f"link set {veth} master {_BRIDGE} up",
            )
            _ip(
                f"address add {self.address}/24 dev eth0",
                "link set eth0 up",
                "link set lo up",
                prefix=self.enter,
            )
        except BaseException:
            self.close()
            raise

    @property
    def enter(self) -> list[str | Path]:
        """The command in front of one that runs in it."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"]

    def close(self) -> None:
        """Let go of it; its end of the bridge goes with it."""
        self._holder.kill()
        self._holder.wait()


class PodNetwork:
    """The bridge; this machine is a node with an address on it."""

    def __init__(self) -> None:
        """Make it."""
        self._last = _FIRST_POD - 1
        _ip(
            f"link add {_BRIDGE} type bridge",
            f"address add {NODE_ADDRESS}/24 dev {_BRIDGE}",
            f"link set {_BRIDGE} up",
        )

    def new_address(self) -> PodAddress:
        """An address that no pod has had."""
        self._last += 1
        return PodAddress(self._last)

    def close(self) -> None:
        """Remove it."""
        _ip(f"link delete {_BRIDGE}")


def publish_service(cluster: Cluster, namespace: str, name: str, address: str, port: int) -> None:
    """A Service for something that is no pod."""
    metadata = {"name": name, "namespace": namespace}
    ports = [{"name": "port", "port": port}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": ports},
    }
    cluster.apply(service)
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": ports,
    }
    cluster.apply(endpoints)


def names(cluster: Cluster) -> dict[str, str]:
    """The address behind each name of a Service: that of its first endpoint that is ready."""
    found = {}
    for item in cluster.list("EndpointSlice"):
        metadata = item["metadata"]
        service = metadata.get("labels", {}).get("kubernetes.io/service-name")
        ready = [
            endpoint["addresses"][0]
            for endpoint in item.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready", True)
        ]
        if service and ready:
            found[f"{service}.{metadata['namespace']}"] = ready[0]
    return found


def hosts_file(services: dict[str, str], pod: str, address: str, namespace: str) -> str:
    """What a pod's `/etc/hosts` says, in place of a name server."""
    lines = ["127.0.0.1 localhost", f"{address} {pod}"]
    for name, target in services.items():
        full = f"{name}.svc.cluster.local"
        short = [name.removesuffix(f".{namespace}")] if name.endswith(f".{namespace}") else []
        lines.append(" ".join([target, full, f"{full}.", f"{name}.svc", name, *short]))
    return "\n".join(lines) + "\n"


def _ip(*commands: str, prefix: list[str | Path] | None = None) -> None:
    subprocess.run(
        [*(prefix or []), "ip", "-batch", "-"],
        input="\n".join(commands).encode(),
        check=True,
        capture_output=True,
    )
