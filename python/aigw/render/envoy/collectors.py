"""Clusters of OTLP collectors.

Headers for a collector may hold a key. They are added by a filter of its cluster that reads them
from a file of secrets, so that Envoy's configuration shows none.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from aigw.plan import Collector, Endpoint, Plan
from aigw.render.envoy.names import HTTP_OPTIONS, TYPE, Json, typed
from aigw.render.envoy.target import EnvoyTarget
from aigw.render.envoy.tls import upstream_socket
from aigw.render.envoy.ways import address_of, resolves_names

_CONNECT_TIMEOUT = "5s"
_INJECTOR = "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector"
_GENERIC = "envoy.extensions.http.injected_credentials.generic.v3.Generic"
_SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type
_CODEC = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
_DNS = "envoy.extensions.clusters.dns.v3.DnsCluster"


def collector_cluster_name(collector: Collector) -> str:
    """Collectors of one name may differ in what is sent to them."""
    digest = hashlib.sha256(repr((collector, collector.headers)).encode()).hexdigest()
    return f"aigw.otlp/{collector.name}@{digest[:8]}"


def collector_clusters(plan: Plan, target: EnvoyTarget) -> list[Json]:
    """One for each collector."""
    found = {collector_cluster_name(item): item for item in _collectors(plan)}
    return [_cluster(plan, name, item, target) for name, item in sorted(found.items())]


def collector_endpoints(plan: Plan) -> list[Sequence[Endpoint]]:
    """The endpoints of each cluster."""
    return [collector.endpoints for collector in _collectors(plan)]


def collector_secrets(plan: Plan) -> Mapping[str, str]:
    """Files with the headers of collectors, relative to `EnvoyTarget.xds_dir`."""
    return {
        _file(name, value): json.dumps(
            {
                "resources": [
                    {
                        "@type": TYPE + _SECRET,
                        "name": _secret_name(name, value),
                        "generic_secret": {"secret": {"inline_string": value}},
                    }
                ]
            }
        )
        for collector in _collectors(plan)
        for name, value in collector.headers
    }


def _collectors(plan: Plan) -> Iterator[Collector]:
    for gateway in plan.gateways.values():
        for log in gateway.telemetry.access_logs or ():
            if log.collector is not None:
                yield log.collector


def _cluster(plan: Plan, name: str, collector: Collector, target: EnvoyTarget) -> Json:
    discovery: Json = {"type": "STATIC"}
    if resolves_names(collector.endpoints):
        dns = typed(_DNS, dns_lookup_family="V4_PREFERRED", respect_dns_ttl=True)
        discovery = {"cluster_type": {"name": "envoy.cluster.dns", "typed_config": dns}}
    endpoints = [
        {
            "endpoint": {
                "address": address_of(item, collector.endpoints, name),
                "hostname": item.hostname,
            }
        }
        for item in collector.endpoints
    ]
    rendered: Json = {
        "name": name,
        **discovery,
        "connect_timeout": _CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: typed(
                HTTP_OPTIONS,
                explicit_http_config={"http2_protocol_options": {}},
                http_filters=_filters(collector, target),
            )
        },
    }
    if collector.tls:
        rendered["transport_socket"] = upstream_socket(plan, collector.tls, target)
    return rendered


def _filters(collector: Collector, target: EnvoyTarget) -> list[Json]:
    injectors = [_injector(name, value, target) for name, value in collector.headers]
    codec: Json = {"name": "envoy.filters.http.upstream_codec", "typed_config": typed(_CODEC)}
    return [*injectors, codec]


def _injector(name: str, value: str, target: EnvoyTarget) -> Json:
    source = {
        "path_config_source": {"path": f"{target.xds_dir}/{_file(name, value)}"},
        "resource_api_version": "V3",
    }
    credential = typed(
        _GENERIC,
        credential={"name": _secret_name(name, value), "sds_config": source},
        header=name,
    )
    config = typed(
        _INJECTOR,
        overwrite=True,
        credential={"name": "generic", "typed_config": credential},
    )
    return {"name": f"aigw.header.{name}", "typed_config": config}


def _secret_name(name: str, value: str) -> str:
    """Also part of a file's name, which cannot be as long as a header's."""
    return f"{name[:64]}-{hashlib.sha256(f'{name}:{value}'.encode()).hexdigest()[:16]}"


def _file(name: str, value: str) -> str:
    return f"secrets/{_secret_name(name, value)}.json"
