"""Where connections to endpoints go: to their addresses, or to a listener inside of Envoy.

Proxies are reached by such a listener, which asks for a tunnel by name: the name of a provider
need not resolve here. A cluster with such an endpoint, or with a Unix socket, cannot resolve names
at all, so in it a name is a listener as well.

A connection to such a listener is made at once, whatever is behind it. With TLS the handshake fails
where the way does, and the next backend is tried; in plain text the request is lost, which only the
trigger `reset` repeats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aigw.plan import AddressKind, Endpoint
from aigw.render.envoy.names import Json

LOOPBACK = "127.0.0.1"
_EGRESS, _PROXY, _DIRECT = "aigw.egress/", "aigw.proxy/", "aigw.direct/"


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """A way through Envoy itself; `proxy` is a key of the plan, or empty: by name, directly."""

    proxy: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port`, with brackets around IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def listener(self) -> str:
        """Name of the listener."""
        return f"{_EGRESS}{self.proxy or 'direct'}/{self.authority}"

    @property
    def cluster(self) -> str:
        """Name of the cluster behind it."""
        return f"{_PROXY}{self.proxy}" if self.proxy else f"{_DIRECT}{self.authority}"


def is_way(resource: Json) -> bool:
    """Whether a listener or cluster is part of a way: clusters of backends need it first."""
    return str(resource["name"]).startswith((_EGRESS, _PROXY, _DIRECT))


def resolves_names(endpoints: Iterable[Endpoint]) -> bool:
    """Whether a cluster with these endpoints looks names up."""
    listed = list(endpoints)
    has_names = any(item.kind is AddressKind.DNS for item in listed)
    return has_names and not any(item.proxy or item.kind is AddressKind.UNIX for item in listed)


def ways_of(endpoints: Sequence[Endpoint]) -> set[Way]:
    """The ways of one cluster."""
    return {way for item in endpoints if (way := _way(item, endpoints))}


def address_of(endpoint: Endpoint, among: Sequence[Endpoint], owner: str) -> Json:
    """The address of an endpoint of a cluster; `owner` tells apart endpoints of one address."""
    way = _way(endpoint, among)
    if way is not None:
        internal = {"server_listener_name": way.listener, "endpoint_id": owner}
        return {"envoy_internal_address": internal}
    if endpoint.kind is AddressKind.UNIX:
        return {"pipe": {"path": endpoint.address}}
    # Only reached by name where names are looked up; the machine itself needs no look-up.
    is_name = endpoint.kind is AddressKind.DNS and not resolves_names(among)
    host = LOOPBACK if is_name else endpoint.address
    return {"socket_address": {"address": host, "port_value": endpoint.port}}


def _way(endpoint: Endpoint, among: Sequence[Endpoint]) -> Way | None:
    is_name = endpoint.kind is AddressKind.DNS and not resolves_names(among)
    if endpoint.proxy or (is_name and endpoint.address != "localhost"):
        return Way(endpoint.proxy, endpoint.address, endpoint.port)
    return None
