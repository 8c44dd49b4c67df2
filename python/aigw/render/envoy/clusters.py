"""Clusters: one per backendRef for the module, one per rule for ext_proc."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from aigw.plan import AddressKind, Backend, Endpoint, Plan, Rule, Tls, TlsParameters
from aigw.plan.traffic import Traffic
from aigw.render.envoy.backend_traffic import (
    CONNECT_TIMEOUT,
    Sink,
    assignment_policy,
    balancing_options,
    circuit_breakers,
    cluster_name,
    cluster_settings,
    connection_options,
    dns_options,
    endpoint_check,
    http2_options,
)
from aigw.render.envoy.filter_config import content_hash
from aigw.render.envoy.filters import attempt_filters
from aigw.render.envoy.names import (
    BACKEND_KEY,
    EXTPROC_CLUSTER,
    HOST_METADATA,
    HTTP_OPTIONS,
    Json,
    typed,
)
from aigw.render.envoy.target import DataPlane, EnvoyTarget
from aigw.render.envoy.tls import upstream_socket
from aigw.render.envoy.ways import address_of, resolves_names

_TLS_KEY = "aigw_tls"
_SINK_PORT = 1
_DNS = "envoy.extensions.clusters.dns.v3.DnsCluster"
DNS_CLUSTER = typed(_DNS, **dns_options(Traffic()))


def clusters(plan: Plan, target: EnvoyTarget, ids: Mapping[str, str]) -> list[Json]:
    """All clusters with providers behind them."""
    if target.data_plane is DataPlane.MODULE:
        return [
            _backend_cluster(plan, target, use, ids[use.backend]) for use in _backends_in_use(plan)
        ]
    return [
        _rule_cluster(plan, target, rule, ids)
        for _, rule in sorted(plan.rules.items())
        if rule.groups
    ]


def cluster_endpoints(plan: Plan, target: EnvoyTarget) -> list[Sequence[Endpoint]]:
    """The endpoints of each cluster."""
    if target.data_plane is DataPlane.MODULE:
        names = sorted({use.backend for use in _backends_in_use(plan)})
        return [plan.backends[name].endpoints for name in names]
    return [
        [
            item
            for group in rule.groups
            for member in group.members
            for item in plan.backends[member.backend].endpoints
        ]
        for rule in plan.rules.values()
    ]


@dataclass(frozen=True, slots=True)
class _Use:
    """A backend with the settings of a rule; `is_last`: no group of any rule comes after it."""

    backend: str
    traffic: Traffic
    is_last: bool


def _backends_in_use(plan: Plan) -> list[_Use]:
    """In a fixed order. Rules that only differ in their groups share their clusters."""
    last: dict[tuple[str, Traffic], bool] = {}
    for rule in plan.rules.values():
        for group in rule.groups:
            for member in group.members:
                key = (member.backend, rule.traffic)
                last[key] = last.get(key, True) and group is rule.groups[-1]
    uses = [_Use(*key, is_last) for key, is_last in last.items()]
    return sorted(uses, key=lambda use: (use.backend, cluster_name("", use.traffic)))


def extproc_cluster(target: EnvoyTarget) -> Json:
    """The processor on its Unix socket.

    Windows and buffers are larger than any body that is held: a watermark that fires while an
    upstream filter holds a complete response brings Envoy 1.40 down.
    """
    http2 = {
        "initial_stream_window_size": 67_108_864,
        "initial_connection_window_size": 134_217_728,
    }
    endpoint = {"endpoint": {"address": {"pipe": {"path": target.extproc_socket}}}}
    return {
        "name": EXTPROC_CLUSTER,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": 134_217_728,
        "circuit_breakers": circuit_breakers(),
        "load_assignment": {
            "cluster_name": EXTPROC_CLUSTER,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: typed(
                HTTP_OPTIONS, explicit_http_config={"http2_protocol_options": http2}
            )
        },
    }


def _backend_cluster(plan: Plan, target: EnvoyTarget, use: _Use, backend_id: str) -> Json:
    backend, traffic = plan.backends[use.backend], use.traffic
    endpoints = [
        _endpoint(item, backend.endpoints, backend_id, endpoint_check(traffic, item))
        for item in backend.endpoints
    ]
    localities: list[Json] = [{"lb_endpoints": endpoints}]
    sink = Sink.NONE
    moves_on = traffic.checks_health and not use.is_last
    if moves_on or resolves_names(backend.endpoints):
        sink = Sink.BEHIND
        # Of the last group the sink fails its checks, so that Envoy asks the providers once more.
        off = {"disable_active_health_check": True} if moves_on else {}
        check: Json = {"health_check_config": off} if off else {}
        closed = _endpoint(_sink(backend), backend.endpoints, backend_id, check)
        localities.append({"priority": 1, "lb_endpoints": [closed]})
    filters = attempt_filters(plan, target, backend_id)
    sockets: Json = {}
    if backend.tls:
        sockets["transport_socket"] = upstream_socket(plan, backend.tls, target)
    options = balancing_options(traffic, sink)
    return {
        **_cluster(cluster_name(backend_id, traffic), localities, backend.endpoints, traffic),
        **cluster_settings(traffic, sink),
        **_http_options(filters, [backend], traffic),
        **sockets,
        **({"common_lb_config": options} if options else {}),
    }


def _sink(backend: Backend) -> Endpoint:
    """Where requests go while no name resolves or no endpoint is healthy: a closed port.

    A cluster without hosts is answered with 503 at once and never retried; a refused connection
    is retried with the next backend.
    """
    return Endpoint("127.0.0.1", _SINK_PORT, backend.host, AddressKind.IP)


def _rule_cluster(plan: Plan, target: EnvoyTarget, rule: Rule, ids: Mapping[str, str]) -> Json:
    localities: list[Json] = []
    members = [plan.backends[one.backend] for group in rule.groups for one in group.members]
    endpoints = [item for backend in members for item in backend.endpoints]
    backends = members if all(one.tls for one in members) else [_in_http1(one) for one in members]
    used = {backend.name: backend for backend in backends}
    for priority, group in enumerate(rule.groups):
        for member in group.members:
            backend = used[member.backend]
            localities.append(
                {
                    "priority": priority,
                    "locality": {"zone": backend.name},
                    "load_balancing_weight": member.weight,
                    "lb_endpoints": [
                        _endpoint(
                            item,
                            endpoints,
                            ids[backend.name],
                            endpoint_check(rule.traffic, item),
                            backend.tls,
                        )
                        for item in backend.endpoints
                    ],
                }
            )
    tls = [backend.tls for backend in backends]
    return {
        **_cluster(rule.id, localities, endpoints, rule.traffic),
        **cluster_settings(rule.traffic),
        **_http_options(attempt_filters(plan, target, ""), backends, rule.traffic),
        **_tls_matches(plan, tls, target),
        "common_lb_config": {
            "locality_weighted_lb_config": {},
            **balancing_options(rule.traffic),
        },
    }


def _cluster(
    name: str, localities: list[Json], endpoints: Sequence[Endpoint], traffic: Traffic
) -> Json:
    discovery: Json = {"type": "STATIC"}
    if resolves_names(endpoints):
        config = typed(_DNS, **dns_options(traffic))
        discovery = {"cluster_type": {"name": "envoy.cluster.dns", "typed_config": config}}
    return {
        "name": name,
        **discovery,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": localities,
            **assignment_policy(traffic),
        },
    }


def _endpoint(
    endpoint: Endpoint,
    among: Sequence[Endpoint],
    backend_id: str,
    check: Json,
    tls: Tls | None = None,
) -> Json:
    metadata: Json = {HOST_METADATA: {BACKEND_KEY: backend_id}}
    if tls:
        metadata["envoy.transport_socket_match"] = {_TLS_KEY: _tls_name(tls)}
    address = address_of(endpoint, among, backend_id)
    return {
        "endpoint": {"address": address, "hostname": endpoint.hostname, **check},
        "metadata": {"filter_metadata": metadata},
    }


def _in_http1(backend: Backend) -> Backend:
    """A backend in a cluster without negotiation: HTTP/2 must not be offered."""
    if backend.tls is None:
        return backend
    parameters = backend.tls.parameters
    alpn = tuple(name for name in parameters.alpn if name != "h2")
    return replace(backend, tls=replace(backend.tls, parameters=replace(parameters, alpn=alpn)))


def _http_options(filters: list[Json], backends: Sequence[Backend], traffic: Traffic) -> Json:
    """HTTP/1.1, or what TLS negotiates or is asked for where this holds for every endpoint."""
    http2 = http2_options(traffic.http2)
    protocol: Json = {"explicit_http_config": {"http_protocol_options": {}}}
    if all(backend.http2 for backend in backends):
        protocol = {"explicit_http_config": {"http2_protocol_options": http2}}
    if all(backend.tls for backend in backends):
        protocol = {"auto_config": {"http_protocol_options": {}, "http2_protocol_options": http2}}
    options = typed(
        HTTP_OPTIONS,
        common_http_protocol_options=connection_options(traffic),
        http_filters=filters,
        **protocol,
    )
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: options}}


def _tls_name(tls: Tls) -> str:
    names = (
        tls.server_name or "*",
        tls.verification.value,
        tls.authorities,
        tls.client_certificate,
    )
    name = "/".join(filter(None, names))
    if not tls.subject_alt_names and tls.parameters == TlsParameters():
        return name
    return f"{name}/{content_hash(asdict(tls))[:8]}"


def _tls_matches(plan: Plan, tls: Sequence[Tls | None], target: EnvoyTarget) -> Json:
    """A socket per certificate name, chosen by endpoint metadata; others are plain text."""
    distinct = {_tls_name(item): item for item in tls if item}
    if not distinct:
        return {}
    matches: list[Json] = [
        {
            "name": name,
            "match": {_TLS_KEY: name},
            "transport_socket": upstream_socket(plan, item, target),
        }
        for name, item in sorted(distinct.items())
    ]
    if all(tls):
        first = distinct[min(distinct)]
        return {
            "transport_socket_matches": matches,
            "transport_socket": upstream_socket(plan, first, target),
        }
    raw = typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    plain = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": raw}
    return {
        "transport_socket_matches": [
            *matches,
            {"name": "plain", "match": {}, "transport_socket": plain},
        ]
    }


def bare_cluster(name: str, endpoints: Sequence[Endpoint]) -> Json:
    """What all clusters have in common, around endpoints that are no providers."""
    localities: list[Json] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": address_of(x, endpoints, name), "hostname": x.hostname}}
                for x in endpoints
            ]
        }
    ]
    traffic = Traffic()
    return {**_cluster(name, localities, endpoints, traffic), **cluster_settings(traffic)}
