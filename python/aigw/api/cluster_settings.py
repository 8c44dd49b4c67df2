"""Settings of connections to a server that is reached on the side.

Shapes of Envoy Gateway's ClusterSettings.
"""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import (
    Boolean,
    Count,
    Duration,
    Int32,
    Percent,
    PositiveCount,
    SizeQuantity,
    UInt32,
)
from aigw.api.health_check import HealthCheck
from aigw.api.load_balancer import LoadBalancer
from aigw.api.model import ApiModel, Rule
from aigw.api.preconnect import PREDICTIVE_PRECONNECT
from aigw.api.retry import PerRetry, RetryOn


class Fraction(ApiModel):
    """A share."""

    RULES = (
        Rule(
            "EG-3",
            "self.numerator <= self.denominator",
            "numerator must be less than or equal to denominator",
        ),
    )

    denominator: PositiveCount = 100
    numerator: Count


class RetryBudget(ApiModel):
    """Concurrent retries as a share of the requests."""

    min_retry_concurrency: Int32 | None = None
    percent: Fraction


class PerEndpointCircuitBreakers(ApiModel):
    """Limits of each endpoint."""

    max_connections: UInt32 = 1024


class CircuitBreaker(ApiModel):
    """Limits of the cluster."""

    max_connections: UInt32 = 1024
    max_parallel_requests: UInt32 = 1024
    max_parallel_retries: UInt32 = 1024
    max_pending_requests: UInt32 = 1024
    max_requests_per_connection: UInt32 | None = None
    per_endpoint: PerEndpointCircuitBreakers | None = None
    retry_budget: RetryBudget | None = None


class PreconnectPolicy(ApiModel):
    """Connections that are opened ahead."""

    per_endpoint_percent: Annotated[Int32, Field(ge=100, le=300)] | None = None
    predictive_percent: Annotated[Int32, Field(ge=100)] | None = None


class BackendConnection(ApiModel):
    """Buffers of a connection."""

    buffer_limit: SizeQuantity | None = None
    preconnect: PreconnectPolicy | None = None
    socket_buffer_limit: SizeQuantity | None = None


class DNS(ApiModel):
    """Name resolution."""

    dns_refresh_rate: Duration | None = None
    lookup_family: (
        Literal["IPv4", "IPv6", "IPv4Preferred", "IPv6Preferred", "IPv4AndIPv6"] | None
    ) = None
    respect_dns_ttl: Boolean | None = None


class ConnectionKeepalive(ApiModel):
    """Pings on a connection."""

    RULES = (
        Rule(
            "EG-34",
            "!has(self.timeout) || !has(self.interval) || "
            "duration(self.timeout) < duration(self.interval)",
            "timeout must be less than interval",
        ),
    )

    idle_interval: Duration | None = None
    interval: Duration | None = None
    interval_jitter: Percent | None = None
    timeout: Duration | None = None


class HTTP2Settings(ApiModel):
    """HTTP/2."""

    connection_keepalive: ConnectionKeepalive | None = None
    initial_connection_window_size: SizeQuantity | None = None
    initial_stream_window_size: SizeQuantity | None = None
    max_concurrent_streams: PositiveCount | None = None
    on_invalid_message: str | None = None


class ProxyProtocol(ApiModel):
    """The PROXY protocol towards the server."""

    version: Literal["V1", "V2"]


class ClusterRetry(ApiModel):
    """How often and when a request is repeated."""

    num_attempts_per_priority: Int32 | None = None
    num_retries: Count = 2
    per_retry: PerRetry | None = None
    retry_on: RetryOn | None = None


class TCPKeepalive(ApiModel):
    """Probes of the kernel."""

    idle_time: Duration | None = None
    interval: Duration | None = None
    probes: Int32 | None = None


class HTTPTimeout(ApiModel):
    """Timeouts of HTTP."""

    connection_idle_timeout: Duration | None = None
    max_connection_duration: Duration | None = None
    max_stream_duration: Duration | None = None
    request_timeout: Duration | None = None
    stream_idle_timeout: Duration | None = None


class TCPTimeout(ApiModel):
    """Timeouts of connections."""

    connect_timeout: Duration | None = None


class Timeout(ApiModel):
    """Timeouts."""

    http: HTTPTimeout | None = None
    tcp: TCPTimeout | None = None


class ClusterSettings(ApiModel):
    """Connection settings."""

    RULES = (PREDICTIVE_PRECONNECT,)

    circuit_breaker: CircuitBreaker | None = None
    connection: BackendConnection | None = None
    dns: DNS | None = None
    health_check: HealthCheck | None = None
    http2: HTTP2Settings | None = None
    load_balancer: LoadBalancer | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry: ClusterRetry | None = None
    tcp_keepalive: TCPKeepalive | None = None
    timeout: Timeout | None = None
