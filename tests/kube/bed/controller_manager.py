"""kube-controller-manager: what makes deletion, Deployments and Services happen."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kube.bed.process import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster

CONTROLLERS = (
    "deployment-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)


@contextlib.contextmanager
def run_controller_manager(binary: Path, server: ApiServer, cluster: Cluster) -> Iterator[Program]:
    """The controllers that the bed needs, at work.

    Raises:
        BedError: they do not start.
    """
    command: list[str | Path] = [
        binary,
        f"--kubeconfig={server.kubeconfig}",
        f"--root-ca-file={server.folder / 'ca.crt'}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials=false",
        "--concurrent-gc-syncs=4",
    ]
    program = Program.start("kube-controller-manager", command, server.folder)
    try:
        program.wait(lambda: cluster.get("ServiceAccount", "default", "default"), "controllers")
        yield program
    finally:
        program.stop()
