"""BackendTrafficPolicy: connections, limits, health and retries of providers.

For a Gateway, for a route, or for one rule of a route.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from aigw.api.model import Later, Resource
from aigw.api.policy_targets import TargetedSpec
from aigw.api.preconnect import PREDICTIVE_PRECONNECT
from aigw.api.retry import Retry

if TYPE_CHECKING:
    from aigw.api.cluster_settings import (
        DNS,
        BackendConnection,
        CircuitBreaker,
        HTTP2Settings,
        TCPKeepalive,
        Timeout,
    )
    from aigw.api.health_check import HealthCheck
    from aigw.api.load_balancer import LoadBalancer
else:
    # Imported when a policy has them: each class costs start time.
    _SETTINGS = "aigw.api.cluster_settings"
    BackendConnection = Annotated[Any, Later(_SETTINGS, "BackendConnection")]
    CircuitBreaker = Annotated[Any, Later(_SETTINGS, "CircuitBreaker")]
    DNS = Annotated[Any, Later(_SETTINGS, "DNS")]
    HTTP2Settings = Annotated[Any, Later(_SETTINGS, "HTTP2Settings")]
    TCPKeepalive = Annotated[Any, Later(_SETTINGS, "TCPKeepalive")]
    Timeout = Annotated[Any, Later(_SETTINGS, "Timeout")]
    HealthCheck = Annotated[Any, Later("aigw.api.health_check", "HealthCheck")]
    LoadBalancer = Annotated[Any, Later("aigw.api.load_balancer", "LoadBalancer")]


class BackendTrafficPolicySpec(TargetedSpec):
    """Spec of a BackendTrafficPolicy."""

    NOT_YET = frozenset(
        {
            "admissionControl",
            "bandwidthLimit",
            "compression",
            "compressor",
            "faultInjection",
            "httpUpgrade",
            "proxyProtocol",
            "rateLimit",
            "requestBuffer",
            "responseOverride",
            "routingType",
            "telemetry",
            "useClientProtocol",
        }
    )
    RULES = (PREDICTIVE_PRECONNECT,)

    circuit_breaker: CircuitBreaker | None = None
    connection: BackendConnection | None = None
    dns: DNS | None = None
    health_check: HealthCheck | None = None
    http2: HTTP2Settings | None = None
    load_balancer: LoadBalancer | None = None
    merge_type: Literal["StrategicMerge", "JSONMerge"] | None = None
    """Absent: only the most specific policy counts."""
    retry: Retry | None = None
    tcp_keepalive: TCPKeepalive | None = None
    timeout: Timeout | None = None


class BackendTrafficPolicy(Resource):
    """Settings of the provider side of a Gateway or route."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "BackendTrafficPolicy"

    spec: BackendTrafficPolicySpec
