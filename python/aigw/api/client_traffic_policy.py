"""ClientTrafficPolicy: connections of clients to a Gateway or to one listener.

Headers that begin with `x-envoy-` or `x-ai-eg-` are ours whatever a policy says: they are taken
off before anything else, so `headers.enableEnvoyHeaders` is refused.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Boolean, Duration, Int64, SizeQuantity, UInt32
from aigw.api.model import ApiModel, Later, Resource, Rule
from aigw.api.policy_targets import TargetedSpec

if TYPE_CHECKING:
    from aigw.api.client_headers import ClientHeaders
    from aigw.api.client_tls import ClientTLS
    from aigw.api.cluster_settings import HTTP2Settings, TCPKeepalive
    from aigw.api.string_match import StringMatch
else:
    # Imported when a policy has them: each class costs start time.
    ClientHeaders = Annotated[Any, Later("aigw.api.client_headers", "ClientHeaders")]
    ClientTLS = Annotated[Any, Later("aigw.api.client_tls", "ClientTLS")]
    HTTP2Settings = Annotated[Any, Later("aigw.api.cluster_settings", "HTTP2Settings")]
    StringMatch = Annotated[Any, Later("aigw.api.string_match", "StringMatch")]
    TCPKeepalive = Annotated[Any, Later("aigw.api.cluster_settings", "TCPKeepalive")]


class ConnectionLimit(ApiModel):
    """How many connections, how long, and with how many requests."""

    close_delay: Duration | None = None
    max_connection_duration: Duration | None = None
    max_requests_per_connection: UInt32 | None = None
    max_stream_duration: Duration | None = None
    value: Annotated[Int64, Field(ge=0)] | None = None


class ClientConnection(ApiModel):
    """Limits of client connections."""

    buffer_limit: SizeQuantity | None = None
    """Largest body of a request that is held."""
    connection_limit: ConnectionLimit | None = None
    max_accept_per_socket_event: UInt32 | None = None
    socket_buffer_limit: SizeQuantity | None = None


class TCPClientTimeout(ApiModel):
    """Of connections that are not HTTP: there are none here."""

    idle_timeout: Duration | None = None


class HTTPClientTimeout(ApiModel):
    """Timeouts of requests."""

    idle_timeout: Duration | None = None
    """Of a connection without a request."""
    request_received_timeout: Duration | None = None
    """From the first byte of a request to its last."""
    stream_idle_timeout: Duration | None = None
    """Of an exchange in which nothing moves."""


class ClientTimeout(ApiModel):
    """Timeouts."""

    http: HTTPClientTimeout | None = None
    tcp: TCPClientTimeout | None = None


class HTTP1Settings(ApiModel):
    """HTTP/1.1."""

    NOT_YET = frozenset({"enableTrailers", "http10", "preserveHeaderCase"})

    disable_safe_max_connection_duration: Boolean | None = None
    ignored_upgrade_types: list[StringMatch] | None = None


class PathSettings(ApiModel):
    """How paths are normalized."""

    disable_merge_slashes: Boolean | None = None
    escaped_slashes_action: (
        Literal["KeepUnchanged", "RejectRequest", "UnescapeAndForward", "UnescapeAndRedirect"]
        | None
    ) = None


class XForwardedFor(ApiModel):
    """The client is the first address, from the right, that is not a known proxy's."""

    RULES = (
        Rule(
            "EG-53",
            "has(self.numTrustedHops) != has(self.trustedCIDRs)",
            "only one of numTrustedHops or trustedCIDRs must be set",
        ),
    )

    disable_x_forwarded_for_append: Annotated[
        Boolean | None, Field(alias="disableXForwardedForAppend")
    ] = None
    num_trusted_hops: UInt32 | None = None
    trusted_cidrs: Annotated[list[str] | None, Field(alias="trustedCIDRs", min_length=1)] = None


class CustomHeader(ApiModel):
    """A header in which a trusted proxy names the client."""

    fail_closed: Boolean | None = None
    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9-]+$")]


class ClientIPDetection(ApiModel):
    """Where the address of the client is found behind proxies."""

    RULES = (
        Rule(
            "EG-54",
            "!(has(self.xForwardedFor) && has(self.customHeader))",
            "customHeader cannot be used in conjunction with xForwardedFor",
        ),
    )

    custom_header: CustomHeader | None = None
    x_forwarded_for: XForwardedFor | None = None


class HealthCheckSettings(ApiModel):
    """A path that is answered by the proxy itself while it serves."""

    path: Annotated[str, Field(min_length=1, max_length=1024)]


class ProxyProtocolSettings(ApiModel):
    """The PROXY protocol in front of every connection, or of some."""

    optional: Boolean | None = None


class ClientTrafficPolicySpec(TargetedSpec):
    """Spec of a ClientTrafficPolicy."""

    NOT_YET = frozenset({"grpc", "http3"})

    client_ip_detection: Annotated[ClientIPDetection | None, Field(alias="clientIPDetection")] = (
        None
    )
    connection: ClientConnection = Field(default_factory=ClientConnection)
    enable_proxy_protocol: Boolean | None = None
    headers: ClientHeaders | None = None
    health_check: HealthCheckSettings | None = None
    http1: HTTP1Settings | None = None
    http2: HTTP2Settings | None = None
    path: PathSettings | None = None
    proxy_protocol: ProxyProtocolSettings | None = None
    scheme: Literal["Preserve", "MatchBackend"] | None = None
    tcp_keepalive: TCPKeepalive | None = None
    timeout: ClientTimeout | None = None
    tls: ClientTLS | None = None


class ClientTrafficPolicy(Resource):
    """Settings of the client side of Gateways."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "ClientTrafficPolicy"

    spec: ClientTrafficPolicySpec
