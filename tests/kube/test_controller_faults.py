"""The controller on a real API server, with things going wrong."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from aigw.controller.api import Api
from aigw.controller.lease import Lease
from beds.cluster_objects import backend, gateway, route
from kube.bed.api_server import run_api_server, start_again, stop
from kube.bed.cluster import Cluster
from kube.bed.process import Program
from kube.conftest import BINARIES
from kube.test_controller import ACCEPTED, conditions, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from beds.ports import FreePorts
    from kube.bed.api_server import ApiServer

    Start = Callable[[str], Program]

Json = dict[str, Any]

LEASE_SECONDS = 15.0
TAKEOVER_SECONDS = 2 * LEASE_SECONDS + 10


@pytest.fixture(scope="module")
def api_server(
    isolated: bool,  # noqa: ARG001 - entered first
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePorts,
    crds: list[Json],
) -> Iterator[ApiServer]:
    """One that may be stopped."""
    folder = tmp_path_factory.mktemp("faults")
    with run_api_server(BINARIES, folder, free_port, crds) as server:
        yield server


@pytest.fixture(scope="module")
def cluster(api_server: ApiServer) -> Iterator[Cluster]:
    """What is in it."""
    cluster = Cluster(api_server)
    yield cluster
    cluster.close()


@pytest.fixture
def start(api_server: ApiServer, free_port: FreePorts, namespace: str) -> Iterator[Start]:
    """Starts controllers that share the Lease of the test's namespace."""
    programs: list[Program] = []

    def started(name: str) -> Program:
        command = [sys.executable, "-m", "aigw", "controller", "--namespace", namespace]
        command += ["--kubeconfig", api_server.kubeconfig]
        ports = ("port", "stream-port", "webhook-port")
        command += [f"--{port}=127.0.0.1:{free_port()}" for port in ports]
        programs.append(Program.start(name, command, api_server.folder))
        return programs[-1]

    yield started
    for program in programs:
        program.stop(signal.SIGKILL)


def kill(program: Program) -> None:
    program.process.send_signal(signal.SIGKILL)
    program.process.wait()


def holder(cluster: Cluster, namespace: str) -> str:
    lease = cluster.get("Lease", "envoy-ai-gateway-controller", namespace) or {}
    return str(lease.get("spec", {}).get("holderIdentity", ""))


def free(cluster: Cluster, namespace: str) -> None:
    """Spares a test the time until the Lease of a killed controller ends."""
    lease = cluster.get("Lease", "envoy-ai-gateway-controller", namespace)
    assert lease
    cluster.patch(lease, {"spec": {"holderIdentity": ""}})


def is_settled(cluster: Cluster, namespace: str, models: dict[str, str]) -> bool:
    """Whether every route leads to the backend that it names last, and says so."""
    for name, to in models.items():
        if conditions(cluster, "AIGatewayRoute", name, namespace)[-1:] != [ACCEPTED]:
            return False
        http = cluster.get("HTTPRoute", name, namespace)
        if http is None or http["spec"]["rules"][0]["backendRefs"][0]["name"] != to:
            return False
    made = {item["metadata"]["name"] for item in cluster.list("HTTPRoute", namespace)}
    return made == set(models)


def test_a_controller_that_is_killed_again_and_again_leaves_nothing_undone(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    load(cluster, namespace, gateway(), *backend("a"), *backend("b"))
    models: dict[str, str] = {}
    for turn in range(3):
        program = start(f"killed-{turn}")
        cluster.wait(lambda: holder(cluster, namespace), "the Lease")
        for number in range(10):
            name = f"r{turn}-{number}"
            load(cluster, namespace, route(name, ("m", "a")))
            models[name] = "a"
        for name in list(models)[::3]:
            models[name] = "b"
            found = cluster.get("AIGatewayRoute", name, namespace)
            assert found
            cluster.patch(found, {"spec": {"rules": route(name, ("m", "b"))["spec"]["rules"]}})
        kill(program)  # in the midst of its work
        free(cluster, namespace)
    start("last")
    cluster.wait(lambda: is_settled(cluster, namespace, models), "the end state")


def test_another_replica_takes_over_when_the_holder_dies(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    load(cluster, namespace, gateway(), *backend("a"), route("one", ("m", "a")))
    first = start("first")
    cluster.wait(lambda: is_settled(cluster, namespace, {"one": "a"}), "the first route")
    known = holder(cluster, namespace)
    start("second")
    load(cluster, namespace, route("two", ("m", "a")))
    cluster.wait(lambda: is_settled(cluster, namespace, {"one": "a", "two": "a"}), "both")
    assert holder(cluster, namespace) == known
    kill(first)
    load(cluster, namespace, route("three", ("m", "a")))
    cluster.wait(
        lambda: is_settled(cluster, namespace, {"one": "a", "two": "a", "three": "a"}),
        "what the second one writes",
        TAKEOVER_SECONDS,
    )
    assert holder(cluster, namespace) not in ("", known)


def test_a_replica_that_ends_gives_the_lease_back(
    cluster: Cluster, namespace: str, start: Start
) -> None:
    load(cluster, namespace, gateway(), *backend("a"))
    first = start("ending")
    known = cluster.wait(lambda: holder(cluster, namespace), "the Lease")
    first.stop()
    assert holder(cluster, namespace) == ""
    start("following")
    taken = cluster.wait(lambda: holder(cluster, namespace), "the Lease", LEASE_SECONDS - 2.0)
    assert taken != known


def test_an_api_server_that_was_away_is_followed_again(
    cluster: Cluster, namespace: str, api_server: ApiServer, free_port: FreePorts, start: Start
) -> None:
    load(cluster, namespace, gateway(), *backend("a"), *backend("b"), route("one", ("m", "a")))
    program = start("patient")
    cluster.wait(lambda: is_settled(cluster, namespace, {"one": "a"}), "the first route")
    stop(api_server)
    program.wait(lambda: "cannot be renewed" in program.log, "notice of it")
    start_again(api_server, BINARIES, free_port)
    http = cluster.get("HTTPRoute", "one", namespace)
    cluster.delete(http)
    found = cluster.get("AIGatewayRoute", "one", namespace)
    assert found
    cluster.patch(found, {"spec": {"rules": route("one", ("m", "b"))["spec"]["rules"]}})
    load(cluster, namespace, route("two", ("m", "a")))
    program.wait(
        lambda: is_settled(cluster, namespace, {"one": "b", "two": "a"}),
        "both routes as they are now",
        TAKEOVER_SECONDS,
    )


def test_a_holder_that_cannot_renew_stops_writing_before_others_begin(
    cluster: Cluster, namespace: str, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(Api(api_server.kubeconfig), namespace, "me", lambda _: None)
    other = Lease(Api(api_server.kubeconfig), namespace, "other", lambda _: None)
    assert lease._take()
    lease._set(is_holder=True)
    assert lease.is_holder
    assert not other._take()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10.5)
    assert not lease.is_holder
    assert not other._take()
    monkeypatch.setattr(time, "monotonic", lambda: now + LEASE_SECONDS + 1)
    assert other._take()
    assert holder(cluster, namespace) == "other"
