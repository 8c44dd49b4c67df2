"""What tests without Envoy Gateway take it to ask is what it asks.

With the variable AIGW_RECORD_XDS the recording is made again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from beds import recorded_xds
from kube.bed.process import wait
from kube.extension_bed import run_extension, settings_of_envoy_gateway

if TYPE_CHECKING:
    import pytest

    from beds.ports import FreePorts
    from beds.recorded_xds import Recorded
    from kube.bed.api_server import ApiServer
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateways


_CLUSTERS, _ASSIGNMENTS = 8, 3


def test_the_recorded_requests_are_what_envoy_gateway_asks(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: FreePorts,
    api_server: ApiServer,
    envoy_gateways: EnvoyGateways,
    cluster: Cluster,
) -> None:
    namespace = cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": recorded_xds.NAMESPACE}}
    )
    folder = tmp_path_factory.mktemp("recorded")
    home = api_server.folder / "home"
    try:
        with run_extension(folder, free_port(), home) as bed:
            envoy_gateways(settings_of_envoy_gateway(bed.port))
            bed.apply(cluster, recorded_xds.documents())
            expected = None if "AIGW_RECORD_XDS" in os.environ else read()
            wait(lambda: is_settled(bed.asked, expected), "the requests that were recorded", 20)
            time.sleep(1 if expected is None else 0)
            envoy_gateways.stop()
            if expected is None:
                recorded_xds.write(recorded_xds.collected(bed.asked))
    finally:
        cluster.delete(namespace)


def read() -> dict[str, list[str]]:
    """What was recorded."""
    return recorded_xds.known(recorded_xds.read())


def is_settled(asked: list[tuple[str, bytes]], expected: dict[str, list[str]] | None) -> bool:
    """Whether the last requests are those expected, or no more come."""
    found: Recorded = recorded_xds.collected(list(asked))
    if expected is not None:
        return "clusters" in found and recorded_xds.known(found) == expected
    return len(found.get("clusters", ())) >= _CLUSTERS and len(found["endpoints"]) == _ASSIGNMENTS
