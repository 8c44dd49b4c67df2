"""Listeners and their connection managers."""

import hashlib

from aigw.plan import Gateway, Listener, Plan, Port
from aigw.render.envoy.access_log import access_logs
from aigw.render.envoy.client_traffic import (
    early_mutation,
    early_mutations,
    health_filters,
    listener_filters,
    listener_settings,
    manager_settings,
    network_filters,
)
from aigw.render.envoy.filters import client_filters
from aigw.render.envoy.local_replies import local_reply_config
from aigw.render.envoy.names import Json, typed
from aigw.render.envoy.security import TOKENS_FILE, security_filters
from aigw.render.envoy.target import DataPlane, EnvoyTarget
from aigw.render.envoy.tls import server_socket

REQUEST_HEADERS_TIMEOUT = "30s"
EXTPROC_BUFFER = 268_435_456
"""As large as the largest message of the processor."""
_LONGEST_NAME = 200
_NOBODY: Json = {"address_prefix": "255.255.255.255", "prefix_len": 32}
_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def listener_resource(plan: Plan, port: Port, target: EnvoyTarget) -> Json:
    """The LDS resource of a port: one filter chain for each of its listeners."""
    gateway = plan.gateways[port.gateway]
    address = {"address": target.listen_address, "port_value": port.number}
    rendered: Json = {
        "name": f"{port.gateway}/{port.number}",
        "address": {"socket_address": address},
        "per_connection_buffer_limit_bytes": _buffer_limit(gateway, target),
        "filter_chains": [_filter_chain(plan, port, item, target) for item in port.listeners],
        **listener_settings(port.traffic),
    }
    filters = listener_filters(port.traffic)
    if any(listener.certificates for listener in port.listeners):
        inspector = typed(_INSPECTOR)
        filters.append({"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector})
    if filters:
        rendered["listener_filters"] = filters
    return rendered


def _filter_chain(plan: Plan, port: Port, listener: Listener, target: EnvoyTarget) -> Json:
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": _connection_manager(plan, port, listener, target),
    }
    filters = [*network_filters(listener.traffic, listener.name), manager]
    chain: Json = {"name": listener.name, "filters": filters}
    if listener.server_name != "*":
        chain["filter_chain_match"] = {"server_names": [listener.server_name]}
    if listener.certificates:
        chain["transport_socket"] = server_socket(plan, listener, target)
    return chain


def _buffer_limit(gateway: Gateway, target: EnvoyTarget) -> int:
    """Also the limit for requests whose first match is a direct response.

    With ext_proc it is far above any usual reply: Envoy 1.40 crashes when a client reads late,
    this limit is reached, and the provider has finished while an upstream filter still holds its
    data. The core keeps the limit of request bodies there: Envoy's buffer filter would lower the
    limit of the response too.
    """
    if target.data_plane is DataPlane.EXTPROC:
        return max(EXTPROC_BUFFER, gateway.limits.request_body_bytes)
    return gateway.limits.request_body_bytes


def route_file(listener: Listener) -> str:
    """Name of the route configuration's file, relative to the xDS directory.

    Names of resources have no underscore. Three of them may be longer than a file's name can be.
    """
    name = listener.name.replace("/", "_")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}@{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"rds/{name}.json"


def _connection_manager(plan: Plan, port: Port, listener: Listener, target: EnvoyTarget) -> Json:
    source = file_source(f"{target.xds_dir}/{route_file(listener)}")
    tokens = file_source(f"{target.xds_dir}/{TOKENS_FILE}")
    return typed(
        _HCM,
        stat_prefix=listener.name.replace("/", "_"),
        rds={"route_config_name": listener.name, "config_source": source},
        http_filters=[
            *health_filters(listener.traffic),
            *security_filters(plan, listener, tokens),
            *client_filters(plan, target, port.gateway),
        ],
        access_log=access_logs(plan.gateways[port.gateway], target),
        local_reply_config=local_reply_config(plan.prefixes),
        early_header_mutation_extensions=[
            strip_internal_headers(),
            *early_mutations(listener.traffic.headers),
        ],
        # Clients are not trusted: their x-envoy-* headers cannot change timeouts or retries.
        # That needs a list of internal addresses that nobody has; without one Envoy trusts
        # loopback and private addresses.
        skip_xff_append=True,
        internal_address_config={"unix_sockets": False, "cidr_ranges": [_NOBODY]},
        server_header_transformation="PASS_THROUGH",
        scheme_header_transformation={"match_upstream": True},
        normalize_path=True,
        request_headers_timeout=REQUEST_HEADERS_TIMEOUT,
        **manager_settings(listener.traffic),
    )


def strip_internal_headers() -> Json:
    """Before the first route match: nothing that a client sends may look like our own headers."""
    mutations: list[Json] = [
        {"remove_on_match": {"key_matcher": {"prefix": "x-ai-eg-"}}},
        {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},
        {"remove": "x-gateway-destination-endpoint"},
    ]
    return early_mutation(mutations)


def file_source(path: str) -> Json:
    """An xDS source that follows a file, replaced by rename."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}
