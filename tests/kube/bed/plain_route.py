"""A Gateway whose only route leads to one backend."""

from __future__ import annotations

import httpx

_ROUTE = """
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
spec: {{endpoints: [{{ip: {{address: {address}, port: {backend}}}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: web}}]
  rules: [{{backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: web}}]}}]
"""


def plain_route(port: int, address: str, backend: int) -> str:
    """The documents of a listener on `port` and a backend."""
    return _ROUTE.format(port=port, address=address, backend=backend)


def answers(url: str) -> bool:
    """Whether something answers at a URL, and not with an error of a gateway."""
    try:
        return httpx.get(url).status_code < 500
    except httpx.TransportError:
        return False
