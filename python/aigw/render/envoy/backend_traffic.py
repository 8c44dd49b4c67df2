"""How a provider is reached: connections, limits, balancing and health of a cluster.

`Traffic()` renders to our defaults. A cluster of the module is for one backend, and one without a
healthy endpoint would be answered with 503 at once and never retried. So where another group of
the rule is left, endpoints that are checked have a sink behind them: see `clusters.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import Enum

from aigw.plan import AddressKind, Endpoint, Rule
from aigw.plan.traffic import (
    ActiveCheck,
    Balance,
    Balancer,
    CircuitBreaker,
    Ejection,
    Http2,
    HttpCheck,
    Keepalive,
    LookupFamily,
    TcpCheck,
    Traffic,
)
from aigw.render.envoy.filter_config import content_hash
from aigw.render.envoy.names import Json, seconds

CONNECT_TIMEOUT = "5s"
IDLE_TIMEOUT = "55s"
"""Below the keep-alive of usual providers, so that a request rarely meets a closing connection."""
NO_LIMIT = 2**31 - 1
MIN_RETRIES = 1024
MOST_EJECTED = 90
"""Percent of endpoints with a sink among them: up to nine of ten, and never the sink alone."""
_REFUSED = "connect-failure"
_ENOUGH = 10_000
"""Overprovisioning: a group serves alone while one in a hundred of its endpoints is healthy."""
_FAMILIES = {
    LookupFamily.V4: "V4_ONLY",
    LookupFamily.V6: "V6_ONLY",
    LookupFamily.V4_PREFERRED: "V4_PREFERRED",
    LookupFamily.V6_PREFERRED: "AUTO",
    LookupFamily.BOTH: "ALL",
}
_POLICIES = {
    Balance.LEAST_REQUEST: "LEAST_REQUEST",
    Balance.RANDOM: "RANDOM",
    Balance.ROUND_ROBIN: "ROUND_ROBIN",
    Balance.CONSISTENT_HASH: "MAGLEV",
}


class Sink(Enum):
    """Whether a closed port stands behind the endpoints of a cluster."""

    NONE = "none"
    BEHIND = "behind"


def cluster_name(backend_id: str, traffic: Traffic) -> str:
    """The module's cluster of a backend; other settings make it another cluster."""
    if traffic == Traffic():
        return backend_id
    return f"{backend_id}+{content_hash(asdict(traffic))[:8]}"


def skipping(rule: Rule) -> Rule:
    """The rule with retries by which the module skips a group whose endpoints are all left out.

    The closed port behind them is a refused connection: nothing was sent, so nothing is sent
    twice, and it is repeated even where the user wants no retries.
    """
    retry, others = rule.retry, len(rule.groups) - 1
    if retry is None or not others or not rule.traffic.checks_health:
        return rule
    if retry.num_retries == 0:
        return replace(rule, retry=replace(retry, num_retries=others, triggers=(_REFUSED,)))
    triggers = tuple(dict.fromkeys((*retry.triggers, _REFUSED)))
    return replace(rule, retry=replace(retry, triggers=triggers))


def cluster_settings(traffic: Traffic, sink: Sink = Sink.NONE) -> Json:
    """Members of a cluster, without its endpoints and `common_lb_config`."""
    connect = traffic.connect_ms
    found: Json = {
        "connect_timeout": seconds(connect) if connect else CONNECT_TIMEOUT,
        "circuit_breakers": circuit_breakers(traffic.circuit_breaker),
    }
    if traffic.buffer_bytes:
        found["per_connection_buffer_limit_bytes"] = traffic.buffer_bytes
    if traffic.keepalive:
        found["upstream_connection_options"] = {"tcp_keepalive": _keepalive(traffic.keepalive)}
    if traffic.preconnect_percent or traffic.predictive_percent:
        found["preconnect_policy"] = _preconnect(traffic)
    if traffic.balancer:
        found |= _balancing(traffic.balancer)
    if traffic.active:
        found["health_checks"] = [_health_check(traffic.active)]
    if traffic.ejection:
        found["outlier_detection"] = _outlier_detection(traffic.ejection, sink)
    return found


def circuit_breakers(written: CircuitBreaker | None = None) -> Json:
    """What the user says, or no hidden limits.

    Envoy's defaults (3 retries, 1,024 requests) would stop a failover. Our budget lets every
    request in flight be retried once at a time, and no more.
    """
    if written is None:
        written = CircuitBreaker(NO_LIMIT, NO_LIMIT, NO_LIMIT, 0, None, 100, MIN_RETRIES)
    threshold: Json = {
        "max_connections": written.connections,
        "max_pending_requests": written.pending_requests,
        "max_requests": written.requests,
    }
    if written.retry_percent is None:
        threshold["max_retries"] = written.retries
    else:
        least = written.least_retries
        threshold["retry_budget"] = {
            "budget_percent": {"value": written.retry_percent},
            **({} if least is None else {"min_retry_concurrency": least}),
        }
    found: Json = {"thresholds": [threshold]}
    if written.connections_per_endpoint is not None:
        found["per_host_thresholds"] = [{"max_connections": written.connections_per_endpoint}]
    return found


def balancing_options(traffic: Traffic, sink: Sink = Sink.NONE) -> Json:
    """Members of `common_lb_config`.

    With a sink there is always a last resort: endpoints that were healthy a while ago, instead of
    an answer that is never retried.
    """
    percent = traffic.panic_percent
    if percent is None:
        return {}
    least = 1 if sink is Sink.BEHIND else 0
    return {"healthy_panic_threshold": {"value": max(percent, least)}}


def assignment_policy(traffic: Traffic) -> Json:
    """`policy` of a load assignment: a lower priority serves when no endpoint above is healthy."""
    if not traffic.checks_health:
        return {}
    return {"policy": {"overprovisioning_factor": _ENOUGH}}


def endpoint_check(traffic: Traffic, endpoint: Endpoint) -> Json:
    """`health_check_config` of an endpoint; without a host Envoy would send a cluster's name."""
    active = traffic.active
    if active is None:
        return {}
    found: Json = {}
    # Another port is no other place behind a proxy or a Unix socket.
    if active.port is not None and not (endpoint.proxy or endpoint.kind is AddressKind.UNIX):
        found["port_value"] = active.port
    if isinstance(active.check, HttpCheck) and not active.check.host:
        found["hostname"] = endpoint.hostname
    return {"health_check_config": found} if found else {}


def connection_options(traffic: Traffic) -> Json:
    """`common_http_protocol_options` towards providers."""
    idle = traffic.idle_ms
    found: Json = {"idle_timeout": IDLE_TIMEOUT if idle is None else seconds(idle)}
    if traffic.max_connection_ms:
        found["max_connection_duration"] = seconds(traffic.max_connection_ms)
    if traffic.requests_per_connection:
        found["max_requests_per_connection"] = traffic.requests_per_connection
    return found


def http2_options(http2: Http2 | None) -> Json:
    """`http2_protocol_options` of either side."""
    if http2 is None:
        return {}
    found: Json = {
        "initial_stream_window_size": http2.stream_window,
        "initial_connection_window_size": http2.connection_window,
        "max_concurrent_streams": http2.max_streams,
        "override_stream_error_on_invalid_http_message": http2.lenient,
    }
    if http2.ping_timeout_ms:
        ping: Json = {"timeout": seconds(http2.ping_timeout_ms)}
        if http2.ping_interval_ms:
            ping["interval"] = seconds(http2.ping_interval_ms)
        if http2.ping_idle_ms:
            ping["connection_idle_interval"] = seconds(http2.ping_idle_ms)
        if http2.ping_jitter_percent is not None:
            ping["interval_jitter"] = {"value": http2.ping_jitter_percent}
        found["connection_keepalive"] = ping
    return {name: value for name, value in found.items() if value is not None}


def dns_options(traffic: Traffic) -> Json:
    """Members of a DNS cluster's configuration."""
    dns = traffic.dns
    ttl = dns.respect_ttl if dns and dns.respect_ttl is not None else True
    family = _FAMILIES[dns.family] if dns and dns.family else "V4_PREFERRED"
    refresh = {"dns_refresh_rate": seconds(dns.refresh_ms)} if dns and dns.refresh_ms else {}
    return {"dns_lookup_family": family, "respect_dns_ttl": ttl, **refresh}


def hash_policies(traffic: Traffic) -> Json:
    """`hash_policy` of a route."""
    balancer = traffic.balancer
    if balancer is None or balancer.type is not Balance.CONSISTENT_HASH:
        return {}
    policies: list[Json] = [{"header": {"header_name": name}} for name in balancer.hash_headers]
    policies += [{"query_parameter": {"name": name}} for name in balancer.hash_queries]
    if cookie := balancer.hash_cookie:
        attributes = [{"name": name, "value": value} for name, value in cookie.attributes]
        ttl = {} if cookie.ttl_ms is None else {"ttl": seconds(cookie.ttl_ms)}
        policies.append({"cookie": {"name": cookie.name, "attributes": attributes, **ttl}})
    if balancer.hash_source_address:
        policies.append({"connection_properties": {"source_ip": True}})
    return {"hash_policy": policies}


def _keepalive(keepalive: Keepalive) -> Json:
    found = {
        "keepalive_probes": keepalive.probes,
        "keepalive_time": _whole_seconds(keepalive.idle_ms),
        "keepalive_interval": _whole_seconds(keepalive.interval_ms),
    }
    return {name: value for name, value in found.items() if value is not None}


def _whole_seconds(milliseconds: int | None) -> int | None:
    """The kernel counts in seconds."""
    return None if milliseconds is None else max(1, -(-milliseconds // 1000))


def _preconnect(traffic: Traffic) -> Json:
    ratios = {
        "per_upstream_preconnect_ratio": traffic.preconnect_percent,
        "predictive_preconnect_ratio": traffic.predictive_percent,
    }
    return {name: percent / 100 for name, percent in ratios.items() if percent}


def _balancing(balancer: Balancer) -> Json:
    found: Json = {"lb_policy": _POLICIES[balancer.type]}
    if balancer.type is Balance.CONSISTENT_HASH:
        found["maglev_lb_config"] = {"table_size": balancer.table_size}
    if balancer.slow_start_ms:
        window = {"slow_start_config": {"slow_start_window": seconds(balancer.slow_start_ms)}}
        name = "least_request" if balancer.type is Balance.LEAST_REQUEST else "round_robin"
        found[f"{name}_lb_config"] = window
    return found


def _health_check(active: ActiveCheck) -> Json:
    interval = seconds(active.interval_ms)
    found: Json = {
        "timeout": seconds(active.timeout_ms),
        "interval": interval,
        # Envoy's own default asks once a minute while a cluster has had no request yet.
        "no_traffic_interval": interval,
        "unhealthy_threshold": active.unhealthy_after,
        "healthy_threshold": active.healthy_after,
    }
    if active.jitter_ms:
        found["initial_jitter"] = seconds(active.jitter_ms)
    check = active.check
    if isinstance(check, TcpCheck):
        return {**found, "tcp_health_check": _tcp_check(check)}
    return {
        **found,
        "http_health_check": _http_check(check),
        "tls_options": {"alpn_protocols": ["http/1.1"]},
    }


def _tcp_check(check: TcpCheck) -> Json:
    send = {"send": {"text": check.send_hex}} if check.send_hex else {}
    receive = {"receive": [{"text": check.receive_hex}]} if check.receive_hex else {}
    return {**send, **receive}


def _http_check(check: HttpCheck) -> Json:
    found: Json = {"path": check.path, "method": check.method}
    if check.host:
        found["host"] = check.host
    if check.statuses:
        found["expected_statuses"] = _ranges(check.statuses)
    if check.retriable_statuses:
        found["retriable_statuses"] = _ranges(check.retriable_statuses)
    if check.expected_hex:
        found["receive"] = [{"text": check.expected_hex}]
    return found


def _ranges(statuses: tuple[int, ...]) -> list[Mapping[str, int]]:
    return [{"start": status, "end": status + 1} for status in statuses]


def _outlier_detection(ejection: Ejection, sink: Sink) -> Json:
    """Only what the user asked for: Envoy's statistics over success rates are off."""
    most = ejection.max_percent
    if sink is Sink.BEHIND:
        most = min(most, MOST_EJECTED)
    found: Json = {
        "interval": seconds(ejection.interval_ms),
        "base_ejection_time": seconds(ejection.base_ms),
        "max_ejection_percent": most,
        "consecutive_5xx": ejection.errors_5xx,
        "enforcing_success_rate": 0,
        "split_external_local_origin_errors": ejection.split_local,
        "always_eject_one_host": ejection.always_one,
    }
    if ejection.split_local:
        found["consecutive_local_origin_failure"] = ejection.local_failures
        found["enforcing_local_origin_success_rate"] = 0
    if ejection.gateway_errors is not None:
        found["consecutive_gateway_failure"] = ejection.gateway_errors
        found["enforcing_consecutive_gateway_failure"] = 100
    if ejection.failure_percent is not None:
        found["failure_percentage_threshold"] = ejection.failure_percent
        found["failure_percentage_minimum_hosts"] = 1
        found["enforcing_failure_percentage"] = 100
        if ejection.split_local:
            found["enforcing_failure_percentage_local_origin"] = 100
    return found
