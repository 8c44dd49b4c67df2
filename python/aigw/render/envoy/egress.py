"""Listeners and clusters of the ways through Envoy itself: CONNECT proxies, and single names."""

import re
from collections.abc import Iterable, Mapping

from aigw.plan import Plan, Proxy, Tls
from aigw.render.envoy.backend_traffic import CONNECT_TIMEOUT, circuit_breakers
from aigw.render.envoy.clusters import DNS_CLUSTER
from aigw.render.envoy.names import Json, typed
from aigw.render.envoy.target import EnvoyTarget
from aigw.render.envoy.tls import is_address, upstream_socket
from aigw.render.envoy.ways import Way

BOOTSTRAP_EXTENSION: Json = {
    "name": "envoy.bootstrap.internal_listener",
    "typed_config": typed("envoy.extensions.bootstrap.internal_listener.v3.InternalListener"),
}
_TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def envoy_environment(proxies: Mapping[str, Proxy]) -> Mapping[str, str]:
    """Variables that Envoy needs: what proxies are told is in no configuration of it."""
    return {
        _variable(key): proxy.authorization for key, proxy in proxies.items() if proxy.authorization
    }


def way_listeners(plan: Plan, ways: Iterable[Way]) -> list[Json]:
    """One for each way: Envoy's proxy filter wants to know its destination beforehand."""
    return [_listener(plan, way) for way in sorted(ways)]


def way_clusters(plan: Plan, ways: Iterable[Way], target: EnvoyTarget) -> list[Json]:
    """One for each proxy, and for each name that is reached directly."""
    found = {way.cluster: way for way in ways}
    return [_cluster(plan, found[name], target) for name in sorted(found)]


def _listener(plan: Plan, way: Way) -> Json:
    settings: Json = {"stat_prefix": "egress", "cluster": way.cluster}
    if way.proxy:
        settings["tunneling_config"] = _tunnel(plan, way)
    proxy = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": typed(_TCP_PROXY, **settings),
    }
    return {
        "name": way.listener,
        "internal_listener": {},
        "filter_chains": [{"filters": [proxy]}],
    }


def _tunnel(plan: Plan, way: Way) -> Json:
    tunnel: Json = {"hostname": way.authority}
    if plan.proxies[way.proxy].authorization:
        value = f"%ENVIRONMENT({_variable(way.proxy)})%"
        header = {"key": "proxy-authorization", "value": value}
        tunnel["headers_to_add"] = [{"header": header}]
    return tunnel


def _cluster(plan: Plan, way: Way, target: EnvoyTarget) -> Json:
    host, port, sockets = way.host, way.port, {}
    if way.proxy:
        proxy = plan.proxies[way.proxy]
        host, port = proxy.host, proxy.port
        if proxy.has_tls:
            sockets = {"transport_socket": upstream_socket(plan, Tls(host), target)}
    discovery: Json = {"type": "STATIC"}
    if not is_address(host):
        discovery = {"cluster_type": {"name": "envoy.cluster.dns", "typed_config": DNS_CLUSTER}}
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        "name": way.cluster,
        **discovery,
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": circuit_breakers(),
        "load_assignment": {
            "cluster_name": way.cluster,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **sockets,
    }


def _variable(key: str) -> str:
    return f"AIGW_PROXY_AUTHORIZATION_{re.sub('[^A-Z0-9]', '_', key.upper())}"
