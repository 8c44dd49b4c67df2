"""The bed itself: Envoy Gateway serves what is in the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from beds.ports import FreePorts
    from beds.provider import ProviderBed
    from kube.bed.cluster import Cluster
    from kube.bed.envoy_gateway import EnvoyGateway

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: eg
  listeners: [{{name: http, protocol: HTTP, port: {port}}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: web}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {backend}}}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: web}}]
  rules: [{{backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: web}}]}}]
"""


def test_a_route_reaches_its_backend(
    cluster: Cluster,
    namespace: str,
    envoy_gateway: EnvoyGateway,
    provider: ProviderBed,
    free_port: FreePorts,
) -> None:
    port = free_port()
    *_, route = cluster.load(ROUTE.format(port=port, backend=provider.port), namespace)
    cluster.wait_for_condition(route, "Accepted")
    url = f"http://127.0.0.1:{port}/v1/models"
    envoy_gateway.program.wait(lambda: answers(url), "answer through Envoy", 30)
    assert provider.received[-1].path == "/v1/models"


def answers(url: str) -> bool:
    """Whether the provider answers at a URL."""
    try:
        return httpx.get(url).status_code < 500
    except httpx.TransportError:
        return False
