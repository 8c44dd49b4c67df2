"""The bed itself: Envoy Gateway serves what is in the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kube.bed.plain_route import answers, plain_route

if TYPE_CHECKING:
    from beds.ports import FreePorts
    from beds.provider import ProviderBed
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateway


def test_a_route_reaches_its_backend(
    cluster: Cluster,
    namespace: str,
    envoy_gateway: EnvoyGateway,
    provider: ProviderBed,
    free_port: FreePorts,
) -> None:
    port = free_port()
    *_, route = cluster.load(plain_route(port, "127.0.0.1", provider.port), namespace)
    cluster.wait_for_condition(route, "Accepted")
    url = f"http://127.0.0.1:{port}/v1/models"
    envoy_gateway.program.wait(lambda: answers(url), "answer through Envoy", 30)
    assert provider.received[-1].path == "/v1/models"
