"""Connections to clients and to providers, in our words.

Times are milliseconds, sizes bytes. None means that the user said nothing: our default applies.
"""

from dataclasses import dataclass
from enum import StrEnum


class TextMatchType(StrEnum):
    """How a text is compared."""

    EXACT = "Exact"
    PREFIX = "Prefix"
    SUFFIX = "Suffix"
    REGULAR_EXPRESSION = "RegularExpression"


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A condition on a text; expressions match all of it."""

    type: TextMatchType
    value: str


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Probes of the kernel on idle connections; None: as the kernel is set."""

    probes: int | None = None
    idle_ms: int | None = None
    interval_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Http2:
    """Windows, streams and pings; `lenient`: an invalid message ends its stream only."""

    stream_window: int | None = None
    connection_window: int | None = None
    max_streams: int | None = None
    ping_interval_ms: int | None = None
    ping_timeout_ms: int | None = None
    ping_jitter_percent: int | None = None
    ping_idle_ms: int | None = None
    lenient: bool | None = None


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Limits of a provider's cluster. With `retry_percent`, retries have a budget instead."""

    connections: int
    pending_requests: int
    requests: int
    retries: int
    connections_per_endpoint: int | None = None
    retry_percent: float | None = None
    least_retries: int | None = None


class Balance(StrEnum):
    """Which endpoint of a backend gets a request."""

    LEAST_REQUEST = "LeastRequest"
    RANDOM = "Random"
    ROUND_ROBIN = "RoundRobin"
    CONSISTENT_HASH = "ConsistentHash"


@dataclass(frozen=True, slots=True)
class HashCookie:
    """A cookie that keeps a client at its endpoint; with a `ttl_ms` it is set where absent."""

    name: str
    ttl_ms: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Balancer:
    """Load balancing among endpoints, and what is hashed: exactly one source where it hashes."""

    type: Balance
    slow_start_ms: int | None = None
    table_size: int = 65537
    hash_headers: tuple[str, ...] = ()
    hash_queries: tuple[str, ...] = ()
    hash_cookie: HashCookie | None = None
    hash_source_address: bool = False


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A request whose answer tells whether an endpoint is well.

    Without statuses 200 is expected; `expected_hex` is a part of the body, or empty.
    """

    path: str
    host: str = ""
    method: str = "GET"
    statuses: tuple[int, ...] = ()
    retriable_statuses: tuple[int, ...] = ()
    expected_hex: str = ""


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A connection, and what is sent and expected on it, in hex."""

    send_hex: str = ""
    receive_hex: str = ""


@dataclass(frozen=True, slots=True)
class ActiveCheck:
    """Requests of the proxy's own to each endpoint; `port` is checked instead of its own."""

    check: HttpCheck | TcpCheck
    interval_ms: int
    timeout_ms: int
    jitter_ms: int | None
    unhealthy_after: int
    healthy_after: int
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Ejection:
    """Endpoints that fail requests are left out for a while."""

    interval_ms: int
    base_ms: int
    max_percent: int
    errors_5xx: int
    local_failures: int
    gateway_errors: int | None = None
    failure_percent: int | None = None
    split_local: bool = False
    always_one: bool = False


class LookupFamily(StrEnum):
    """Which addresses of a name are used."""

    V4 = "IPv4"
    V6 = "IPv6"
    V4_PREFERRED = "IPv4Preferred"
    V6_PREFERRED = "IPv6Preferred"
    BOTH = "IPv4AndIPv6"


@dataclass(frozen=True, slots=True)
class Dns:
    """Name resolution."""

    refresh_ms: int | None = None
    respect_ttl: bool | None = None
    family: LookupFamily | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """How the providers of a rule are reached. `Traffic()` is our default throughout."""

    connect_ms: int | None = None
    idle_ms: int | None = None
    max_connection_ms: int | None = None
    requests_per_connection: int | None = None
    buffer_bytes: int | None = None
    preconnect_percent: int | None = None
    predictive_percent: int | None = None
    keepalive: Keepalive | None = None
    circuit_breaker: CircuitBreaker | None = None
    balancer: Balancer | None = None
    active: ActiveCheck | None = None
    ejection: Ejection | None = None
    panic_percent: int | None = None
    dns: Dns | None = None
    http2: Http2 | None = None

    @property
    def checks_health(self) -> bool:
        """Whether endpoints can be left out."""
        return self.active is not None or self.ejection is not None


class NameType(StrEnum):
    """Kinds of names in a certificate."""

    DNS = "DNS"
    EMAIL = "EMAIL"
    IP_ADDRESS = "IP_ADDRESS"
    URI = "URI"


@dataclass(frozen=True, slots=True)
class ClientValidation:
    """Certificates that clients need; `authorities` is a key of `Plan.authorities`, or empty.

    One of the hashes and one of the names must match where there are any.
    """

    authorities: str = ""
    optional: bool = False
    certificate_hashes: tuple[str, ...] = ()
    key_hashes: tuple[str, ...] = ()
    names: tuple[tuple[NameType, TextMatch], ...] = ()


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS to clients; versions are `1.0` to `1.3`, None is Envoy's own choice."""

    min_version: str | None = None
    max_version: str | None = None
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    signature_algorithms: tuple[str, ...] = ()
    protocols: tuple[str, ...] | None = None
    validation: ClientValidation | None = None


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """Where a client's address is found: exactly one of these, or the connection's own."""

    trusted_hops: int = 0
    trusted_ranges: tuple[str, ...] = ()
    header: str = ""
    reject_without: bool = False


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Changes of request headers before anything else; names are lower case."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    add_if_absent: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    remove_on_match: tuple[TextMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientTraffic:
    """How clients reach a listener. `ClientTraffic()` is our default throughout.

    `request_ms`: a request must have arrived. `idle_ms`: a connection without a request.
    `stream_idle_ms`: an exchange in which nothing moves; 0 means no limit. `underscores`,
    `escaped_slashes` and `client_certificate` are the words of ClientTrafficPolicy.
    """

    request_ms: int | None = None
    idle_ms: int | None = None
    stream_idle_ms: int | None = None
    connections: int | None = None
    close_delay_ms: int | None = None
    max_connection_ms: int | None = None
    max_stream_ms: int | None = None
    requests_per_connection: int | None = None
    abrupt_end: bool = False
    ignored_upgrades: tuple[TextMatch, ...] = ()
    http2: Http2 | None = None
    escaped_slashes: str | None = None
    merge_slashes: bool = True
    headers: HeaderEdits = HeaderEdits()
    underscores: str = "Allow"
    client_certificate: str = "Sanitize"
    certificate_details: tuple[str, ...] = ()
    address: ClientAddress = ClientAddress()
    health_path: str = ""
    tls: ClientTls = ClientTls()


class ProxyProtocol(StrEnum):
    """Whether connections begin with the PROXY protocol."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class PortTraffic:
    """What belongs to a port as a whole."""

    keepalive: Keepalive | None = None
    socket_buffer_bytes: int | None = None
    accepts_per_event: int | None = None
    proxy_protocol: ProxyProtocol = ProxyProtocol.NONE
