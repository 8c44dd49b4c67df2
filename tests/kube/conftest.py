"""The fixtures of the Kubernetes bed: started once for tests/kube, stopped after its last test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from beds.envoy import envoy_binary
from beds.provider import LoopThread
from kube.bed.api_server import OURS, documents, run_api_server
from kube.bed.build import PROGRAMS, Binaries, why_not
from kube.bed.cluster import Cluster
from kube.bed.controller_manager import run_controller_manager
from kube.bed.doors import Doors
from kube.bed.envoy_gateway import EnvoyGateways
from kube.bed.kubelet import Kubelet
from kube.bed.network import private_network

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from beds.ports import FreePorts
    from kube.bed.api_server import ApiServer
    from kube.bed.envoy_gateway import EnvoyGateway
    from kube.bed.process import Program

HERE = Path(__file__).parent
BINARIES = Binaries.expected()
# Where tests must not be skipped.
MUST = os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them where the bed is not built."""
    ours = [item for item in items if HERE in item.path.parents]
    why = _why_skipped()
    if ours and why and MUST:
        raise pytest.UsageError(why)
    for item in ours:
        item.add_marker(pytest.mark.kube)
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


def _why_skipped() -> str | None:
    if all(map(BINARIES.find, PROGRAMS if MUST else ("etcd", "kube-apiserver"))):
        return None
    cause = why_not() or "run scripts/kube-bed first"
    return f"NO TEST OF tests/kube RUNS: the Kubernetes bed is not built, {cause}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say where the logs are when a test fails."""
    report = yield
    server = getattr(item, "funcargs", {}).get("api_server")
    if report.failed and server is not None:
        report.sections.append(("Kubernetes bed", f"logs are in {server.folder}"))
    return report


@pytest.fixture(scope="package", autouse=True)
def isolated() -> Iterator[bool]:
    """Whether the tests have a network and roots of their own, which they enter here."""
    with private_network() as entered:
        yield entered


@pytest.fixture(scope="package")
def loop_thread(isolated: bool) -> Iterator[LoopThread]:  # noqa: ARG001 - entered first
    """As everywhere, in the network of these tests."""
    thread = LoopThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="package")
def crds() -> list[dict[str, object]]:
    """Ours, and those that they refer to."""
    folders = [OURS, HERE / "bed" / "crds", *([BINARIES.crds] if BINARIES.crds else [])]
    return [document for folder in folders for document in documents(folder)]


@pytest.fixture
def all_kinds() -> None:
    """The kinds of Gateway API and Envoy Gateway are needed, too."""
    if BINARIES.crds is None:
        pytest.skip("Envoy Gateway's CRDs are not there: run scripts/kube-bed")


@pytest.fixture(scope="package")
def api_server(
    isolated: bool,  # noqa: ARG001 - entered first
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePorts,
    crds: list[dict[str, object]],
) -> Iterator[ApiServer]:
    """A real API server that serves all CRDs."""
    folder = tmp_path_factory.mktemp("kube")
    with run_api_server(BINARIES, folder, free_port, crds) as server:
        yield server


@pytest.fixture(scope="package")
def cluster(api_server: ApiServer) -> Iterator[Cluster]:
    """What is in the API server."""
    cluster = Cluster(api_server)
    yield cluster
    cluster.close()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test."""
    name = cluster.new_namespace()
    yield name
    cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@pytest.fixture(scope="package")
def controller_manager(api_server: ApiServer, cluster: Cluster) -> Iterator[Program]:
    """The controllers of Kubernetes: garbage collection, namespaces, Deployments."""
    binary = _binary("kube-controller-manager")
    with run_controller_manager(binary, api_server, cluster) as program:
        yield program


@pytest.fixture(scope="package")
def envoy_gateways(
    cluster: Cluster,
    controller_manager: Program,  # noqa: ARG001 - removes what earlier tests have left
    isolated: bool,
) -> Iterator[EnvoyGateways]:
    """Call it for an Envoy Gateway with other settings."""
    folder = cluster.server.folder
    gateways = EnvoyGateways(_binary("envoy-gateway"), cluster, folder, isolated=isolated)
    yield gateways
    gateways.stop()


@pytest.fixture
def envoy_gateway(envoy_gateways: EnvoyGateways) -> EnvoyGateway:
    """Envoy Gateway without extension server."""
    return envoy_gateways()


@pytest.fixture(scope="package")
def kubelet(
    cluster: Cluster,
    controller_manager: Program,  # noqa: ARG001 - makes pods
    isolated: bool,
    loop_thread: LoopThread,
) -> Iterator[Kubelet]:
    """A node that runs pods as local processes; `images` says what runs in place of an image."""
    if not isolated:
        pytest.skip("pods need networks and roots of their own: run as root")
    images = {
        "envoyproxy/envoy": [str(envoy_binary())],
        "envoyproxy/gateway": [str(BINARIES.folder / "bin" / "envoy-gateway")],
        "aigw": [sys.executable, "-m", "aigw"],
        "python": [sys.executable],
    }
    kubelet = Kubelet(cluster, cluster.server.folder / "pods", images, Doors(loop_thread))
    kubelet.start()
    yield kubelet
    kubelet.stop()


def _binary(name: str) -> Path:
    path = BINARIES.find(name)
    if path is None:
        pytest.skip(f"{name} is not built: run scripts/kube-bed")
    return path
