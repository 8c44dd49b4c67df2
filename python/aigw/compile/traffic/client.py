"""ClientTrafficPolicies: which one applies to a listener, and what it says about connections.

The policy of a listener applies instead of that of its Gateway. How much of a request is held
belongs to the Gateway alone, and what belongs to a port to all of its listeners.
"""

from dataclasses import dataclass, field

from aigw.api.client_traffic_policy import ClientTrafficPolicy, ClientTrafficPolicySpec
from aigw.api.gateway import Gateway, Listener
from aigw.compile.index import Index
from aigw.compile.policy_targets import Applied, Target, targets_of
from aigw.compile.report import Report
from aigw.compile.traffic.client_headers import address_of, certificate_of, edits_of, text_matches
from aigw.compile.traffic.client_tls import ClientTlsReader
from aigw.compile.traffic.fields import Fields
from aigw.errors import Code
from aigw.plan import Limits
from aigw.plan.traffic import ClientTls, ClientTraffic, PortTraffic, ProxyProtocol

MAX_BODY_LIMIT = 2**31 - 1
_OF_PORTS = {
    "tcp_keepalive": "tcpKeepalive",
    "proxy_protocol": "proxyProtocol",
    "enable_proxy_protocol": "enableProxyProtocol",
}
_OF_PORTS_CONNECTION = {
    "socket_buffer_limit": "connection.socketBufferLimit",
    "max_accept_per_socket_event": "connection.maxAcceptPerSocketEvent",
}


@dataclass(frozen=True, slots=True)
class ListenerTraffic:
    """What applies to a listener and to its port."""

    client: ClientTraffic = field(default_factory=ClientTraffic)
    port: PortTraffic = field(default_factory=PortTraffic)


class ClientPolicies:
    """ClientTrafficPolicies by what they target."""

    def __init__(self, index: Index, report: Report) -> None:
        """Reads all policies."""
        self._index = index
        self._report = report
        self._applied: Applied[ClientTrafficPolicy] = Applied(report)
        self._tls = ClientTlsReader(index, report)
        for policy in index.all(ClientTrafficPolicy):
            for target in targets_of(policy.spec, policy.namespace, index):
                if self._accepts(policy, target):
                    self._applied.add(policy, target)

    @property
    def authorities(self) -> dict[str, str]:
        """Bundles of authorities of clients, by the key that the plan has for them."""
        return self._tls.authorities

    def _accepts(self, policy: ClientTrafficPolicy, target: Target) -> bool:
        if not target.is_gateway:
            message = "only Gateway is a target"
            self._report.error(policy.id, Code.UNSUPPORTED, target.path, message)
            return False
        gateway = self._index.get(Gateway, policy.namespace, target.name)
        if not target.section or gateway is None:
            return True
        return self._accepts_listener(policy, target, gateway)

    def _accepts_listener(
        self, policy: ClientTrafficPolicy, target: Target, gateway: Gateway
    ) -> bool:
        own = next((item for item in gateway.spec.listeners if item.name == target.section), None)
        path = f"{target.path}.sectionName"
        if own is None:
            message = f"{gateway.id} has no listener of the name {target.section}"
            self._report.warning(policy.id, Code.NOT_FOUND, path, message)
            return False
        fields = Fields(policy.id, self._report)
        if len(_on_port(gateway, own.port)) > 1:
            if own.protocol == "HTTP":
                message = f"port {own.port} has other listeners; without TLS they are one"
                self._report.error(policy.id, Code.UNSUPPORTED, path, message)
                return False
            for place in _port_fields(policy.spec):
                fields.refuse(place, f"port {own.port} has other listeners; it is for a Gateway")
        if policy.spec.connection.buffer_limit is not None:
            why = "the limit is one for all listeners of a Gateway"
            fields.refuse("connection.bufferLimit", why)
        return True

    def limits(self, gateway: Gateway) -> Limits:
        """How much of a body is held."""
        policy = self._applied.of_gateway(gateway.namespace, gateway.metadata.name)
        written = policy.spec.connection.buffer_limit if policy else None
        if policy is None or written is None:
            return Limits()
        fields, path = Fields(policy.id, self._report), "connection.bufferLimit"
        size = fields.size(written, path, most=2**63)
        if size is None:
            return Limits()
        if size > MAX_BODY_LIMIT:
            message = f"{written} is more than can be buffered; {MAX_BODY_LIMIT} bytes are used"
            self._report.warning(policy.id, Code.INVALID_FIELD, f"spec.{path}", message)
        size = min(size, MAX_BODY_LIMIT)
        return Limits(size, size)

    def of(self, gateway: Gateway, listener: Listener) -> ListenerTraffic | None:
        """What applies to a listener; None when its clients cannot be validated as written."""
        namespace, name = gateway.namespace, gateway.metadata.name
        whole = self._applied.of_gateway(namespace, name)
        policy = self._applied.of_gateway(namespace, name, listener.name) or whole
        if policy is None:
            return ListenerTraffic()
        fields = Fields(policy.id, self._report)
        tls: ClientTls | None = ClientTls()
        if policy.spec.tls and listener.protocol == "HTTPS":
            tls = self._tls.read(policy)
        if policy.spec.tls and not any(item.protocol == "HTTPS" for item in gateway.spec.listeners):
            fields.no_effect("tls", f"{gateway.id} has no HTTPS listener")
        if tls is None:
            message = f"is not served, because {policy.id} cannot validate its clients"
            path = f"spec.listeners[{gateway.spec.listeners.index(listener)}]"
            self._report.error(gateway.id, Code.LEFT_OUT, path, message)
            return None
        shared = len(_on_port(gateway, listener.port)) > 1
        of_port = whole if shared else policy
        port = _port_traffic(of_port.spec, Fields(of_port.id, self._report)) if of_port else None
        return ListenerTraffic(_client_traffic(policy.spec, tls, fields), port or PortTraffic())


def _on_port(gateway: Gateway, number: int) -> list[Listener]:
    return [item for item in gateway.spec.listeners if item.port == number]


def _port_fields(spec: ClientTrafficPolicySpec) -> list[str]:
    """Paths of what belongs to a port as a whole."""
    found = [path for name, path in _OF_PORTS.items() if getattr(spec, name) is not None]
    of_connection = _OF_PORTS_CONNECTION.items()
    return found + [path for name, path in of_connection if getattr(spec.connection, name)]


def _port_traffic(spec: ClientTrafficPolicySpec, fields: Fields) -> PortTraffic:
    connection = spec.connection
    size = connection.socket_buffer_limit
    protocol = ProxyProtocol.REQUIRED if spec.enable_proxy_protocol else ProxyProtocol.NONE
    if spec.proxy_protocol:
        optional = spec.proxy_protocol.optional
        protocol = ProxyProtocol.OPTIONAL if optional else ProxyProtocol.REQUIRED
    return PortTraffic(
        keepalive=fields.keepalive(spec.tcp_keepalive, "tcpKeepalive"),
        socket_buffer_bytes=fields.size(size, "connection.socketBufferLimit", 2**31 - 1),
        accepts_per_event=connection.max_accept_per_socket_event or None,
        proxy_protocol=protocol,
    )


def _client_traffic(spec: ClientTrafficPolicySpec, tls: ClientTls, fields: Fields) -> ClientTraffic:
    http = spec.timeout.http if spec.timeout else None
    limit = spec.connection.connection_limit
    http1, path, headers = spec.http1, spec.path, spec.headers
    certificate, details = certificate_of(headers.x_forwarded_client_cert if headers else None)
    _name_unserved(spec, fields)
    upgrades = http1.ignored_upgrade_types if http1 else None
    return ClientTraffic(
        request_ms=fields.limit(http.request_received_timeout) if http else None,
        idle_ms=fields.limit(http.idle_timeout) if http else None,
        stream_idle_ms=fields.limit(http.stream_idle_timeout) if http else None,
        connections=_connections(limit.value, fields) if limit else None,
        close_delay_ms=fields.limit(limit.close_delay) if limit else None,
        max_connection_ms=_some(fields.limit(limit.max_connection_duration)) if limit else None,
        max_stream_ms=_some(fields.limit(limit.max_stream_duration)) if limit else None,
        requests_per_connection=_some(limit.max_requests_per_connection) if limit else None,
        abrupt_end=bool(http1 and http1.disable_safe_max_connection_duration),
        ignored_upgrades=text_matches(upgrades, "http1.ignoredUpgradeTypes", fields),
        http2=fields.http2(spec.http2, "http2"),
        escaped_slashes=path.escaped_slashes_action if path else None,
        merge_slashes=not (path and path.disable_merge_slashes),
        headers=edits_of(headers.early_request_headers if headers else None, fields),
        underscores=(headers.with_underscores_action if headers else None) or "Allow",
        client_certificate=certificate,
        certificate_details=details,
        address=address_of(spec.client_ip_detection, fields),
        health_path=_health_path(spec, fields),
        tls=tls,
    )


def _some(number: int | None) -> int | None:
    """0 means no limit."""
    return number or None


def _name_unserved(spec: ClientTrafficPolicySpec, fields: Fields) -> None:
    if spec.timeout and spec.timeout.tcp:
        fields.no_effect("timeout.tcp", "has no effect on HTTP; timeout.http.idleTimeout has")
    headers = spec.headers
    if headers and (headers.request_id or headers.preserve_x_request_id):
        name = "requestID" if headers.request_id else "preserveXRequestID"
        message = "has no effect: x-request-id goes neither to providers nor into access logs"
        fields.no_effect(f"headers.{name}", message)
    if spec.scheme == "Preserve":
        fields.refuse("scheme", "providers get the scheme of their own connection")


def _connections(limit: int | None, fields: Fields) -> int | None:
    if limit == 0:
        fields.invalid("connection.connectionLimit.value", "must be at least 1")
    return _some(limit)


def _health_path(spec: ClientTrafficPolicySpec, fields: Fields) -> str:
    if spec.health_check is None:
        return ""
    path = spec.health_check.path
    if not path.startswith("/") or not path.isprintable() or set(path) & set(" ?#"):
        fields.invalid("healthCheck.path", "must be a path that begins with /")
        return ""
    return path
