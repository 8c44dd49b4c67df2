"""Clusters of AI rules: the core in front of the provider, who the endpoints are, limits.

Nothing that a BackendTrafficPolicy says is changed: only values that Envoy Gateway writes where
nobody said anything are replaced.
"""

from dataclasses import dataclass

from aigw.extension.endpoints import name_assignment
from aigw.extension.filters import CORE_FILTER, provider_filters
from aigw.extension.messages import Message, from_json, message, packed, unpacked
from aigw.extension.names import Place
from aigw.extension.served import ServedRule
from aigw.extension.settings import Settings
from aigw.plan import Plan, Proxy
from aigw.render.envoy.backend_traffic import circuit_breakers
from aigw.render.envoy.names import BACKEND_KEY, HOST_METADATA, HTTP_OPTIONS
from aigw.render.envoy.tls import is_address

_PROXY_SOCKET = "envoy.transport_sockets.http_11_proxy"
_PROXY = "envoy.extensions.transport_sockets.http_11_proxy.v3.Http11ProxyUpstreamTransport"
_HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
_CIRCUIT_BREAKERS = "envoy.config.cluster.v3.CircuitBreakers"
_EG_RETRIES = 1024
"""`max_retries` that Envoy Gateway writes by default, with nothing beside it."""
_EG_BUFFER = 32_768
_BUFFER = 1_048_576
"""Envoy's own default."""


@dataclass
class Clusters:
    """Rewrites clusters of one bundle."""

    plan: Plan
    settings: Settings

    def __post_init__(self) -> None:
        """Makes what all clusters get."""
        self._filters = [
            from_json(_HTTP_FILTER, item) for item in provider_filters(self.plan, self.settings)
        ]
        self._fresh = message(HTTP_OPTIONS)()
        self._fresh.explicit_http_config.http_protocol_options.SetInParent()
        self._limits = from_json(_CIRCUIT_BREAKERS, circuit_breakers())
        default = message(_CIRCUIT_BREAKERS)()
        default.thresholds.add().max_retries.value = _EG_RETRIES
        self._eg_limits = default
        self._known: dict[bytes, Message] = {}

    def rewrite(self, cluster: Message, place: Place, rule: ServedRule | None) -> bool:
        """Changes a cluster in place, and says whether it agrees with the plan.

        Without a rule its requests still meet the core, which refuses them.
        """
        self._put_filters(cluster)
        if cluster.circuit_breakers == self._eg_limits:
            cluster.circuit_breakers.CopyFrom(self._limits)
        if cluster.per_connection_buffer_limit_bytes.value == _EG_BUFFER:
            cluster.per_connection_buffer_limit_bytes.value = _BUFFER
        if rule is None:
            return False
        self._put_proxy(cluster, rule)
        if cluster.HasField("load_assignment"):
            return name_assignment(cluster.load_assignment, rule)
        self._name_cluster(cluster, place, rule)
        return True

    def join(self, cluster: Message) -> None:
        """The same for a cluster of our own over others: Envoy asks it, not them, for filters."""
        self._put_filters(cluster)
        cluster.circuit_breakers.CopyFrom(self._limits)

    def _name_cluster(self, cluster: Message, place: Place, rule: ServedRule) -> None:
        """Endpoints come another way; with one backend nothing can be mistaken."""
        if len(rule.refs) == 1 and place.ref in (None, rule.refs[0].ref):
            fields = cluster.metadata.filter_metadata[HOST_METADATA].fields
            fields[BACKEND_KEY].string_value = rule.refs[0].id

    def _put_filters(self, cluster: Message) -> None:
        """Options repeat in many clusters, so each is decoded once."""
        written = cluster.typed_extension_protocol_options.get(HTTP_OPTIONS)
        before = b"" if written is None else written.value
        known = self._known.get(before)
        if known is None:
            options = self._fresh if written is None else unpacked(HTTP_OPTIONS, written)
            known = self._known[before] = self._with_filters(options)
        cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(known)

    def _with_filters(self, written: Message) -> Message:
        options = message(HTTP_OPTIONS)()
        options.CopyFrom(written)
        if any(item.name == CORE_FILTER for item in options.http_filters):
            return packed(options)
        core, *others = self._filters
        if options.http_filters:
            last = options.http_filters.pop()
            options.http_filters.extend([core, *others[:-1], last])
        else:
            options.http_filters.extend(self._filters)
        return packed(options)

    def _put_proxy(self, cluster: Message, rule: ServedRule) -> None:
        proxy = self.proxy(rule)
        if proxy is None:
            return
        matches = cluster.transport_socket_matches
        sockets = [item.transport_socket for item in matches if item.HasField("transport_socket")]
        if cluster.HasField("transport_socket") or not sockets:
            sockets.append(cluster.transport_socket)
        for socket in sockets:
            if socket.name != _PROXY_SOCKET:
                _wrap(socket, proxy)

    def proxy(self, rule: ServedRule) -> Proxy | None:
        """The proxy of a rule, if all of its endpoints have the same one."""
        found = {item.proxy for ref in rule.refs for item in ref.backend.endpoints}
        return self.plan.proxies[found.pop()] if len(found) == 1 and found != {""} else None

    def has_ways(self, rule: ServedRule) -> bool:
        """Whether the proxies of a rule can be used: an address, without TLS and credentials."""
        found = {item.proxy for ref in rule.refs for item in ref.backend.endpoints}
        if found <= {""}:
            return True
        proxy = self.proxy(rule)
        if proxy is None:
            return False
        return is_address(proxy.host) and not (proxy.has_tls or proxy.authorization)


def _wrap(socket: Message, proxy: Proxy) -> None:
    wrapper = message(_PROXY)()
    if socket.name:
        wrapper.transport_socket.CopyFrom(socket)
    wrapper.default_proxy_address.socket_address.address = proxy.host
    wrapper.default_proxy_address.socket_address.port_value = proxy.port
    socket.name = _PROXY_SOCKET
    socket.typed_config.CopyFrom(packed(wrapper))
