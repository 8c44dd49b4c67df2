"""The files of Envoy: a bootstrap, and one xDS file per resource type."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast

from aigw.plan import Plan
from aigw.render.envoy.cluster_names import content_names, renamed, with_references
from aigw.render.envoy.clusters import cluster_endpoints, clusters, extproc_cluster
from aigw.render.envoy.collectors import (
    collector_clusters,
    collector_endpoints,
    collector_secrets,
)
from aigw.render.envoy.discovery import resources_of, response
from aigw.render.envoy.egress import BOOTSTRAP_EXTENSION, way_clusters, way_listeners
from aigw.render.envoy.filter_config import backend_ids
from aigw.render.envoy.listeners import file_source, listener_resource, route_file
from aigw.render.envoy.names import TYPE, Json
from aigw.render.envoy.routes import route_configuration
from aigw.render.envoy.security import (
    TOKENS_FILE,
    side_clusters,
    token_settings,
    without_credentials,
)
from aigw.render.envoy.target import DataPlane, EnvoyTarget
from aigw.render.envoy.tls import tls_files
from aigw.render.envoy.ways import ways_of

CDS_FILE = "cds/clusters.json"
LDS_FILE = "lds/listeners.json"
MAX_CONNECTIONS = 50_000
MAX_EXPRESSION = 1_000_000
"""Instructions of a regular expression: RE2 has a limit of its own, in bytes."""
_SOCKET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class EnvoyConfig:
    """What Envoy reads.

    `files` are discovery responses by path relative to the xDS directory, in the order in which
    they must be moved into place: clusters, issuers of tokens, listeners' routes, listeners.
    `discovery` writes them. `secrets` are texts of certificates and keys, by path as well; they
    must be there before.
    """

    bootstrap: Json
    files: Mapping[str, Json]
    secrets: Mapping[str, str] = field(repr=False)


def render_envoy(plan: Plan, target: EnvoyTarget) -> EnvoyConfig:
    """The configuration of an Envoy that serves `plan`.

    Raises:
        RenderError: The target lacks something that the plan needs.
    """
    ids = backend_ids(plan)
    listed = [
        *cluster_endpoints(plan, target),
        *(backend.endpoints for backend in plan.http_backends.values()),
        *collector_endpoints(plan),
    ]
    ways = {way for endpoints in listed for way in ways_of(endpoints)}
    found = [
        *clusters(plan, target, ids),
        *_plain_clusters(plan, target),
        *collector_clusters(plan, target),
        *side_clusters(plan, target),
        *way_clusters(plan, ways, target),
    ]
    names = content_names(found)
    found = [renamed(cluster, names) for cluster in found]
    tokens = with_references(token_settings(plan), names)
    files = {
        CDS_FILE: response("envoy.config.cluster.v3.Cluster", found),
        TOKENS_FILE: response("envoy.config.core.v3.TypedExtensionConfig", [tokens]),
    }
    for port in plan.ports:
        for listener in port.listeners:
            routes = route_configuration(plan, plan.gateways[port.gateway], listener, target, ids)
            files[route_file(listener)] = response(
                "envoy.config.route.v3.RouteConfiguration", [with_references(routes, names)]
            )
    listeners = [listener_resource(plan, port, target) for port in plan.ports]
    listeners += way_listeners(plan, ways)
    listeners = [with_references(listener, names) for listener in listeners]
    files[LDS_FILE] = response("envoy.config.listener.v3.Listener", listeners)
    secrets = {**tls_files(plan), **collector_secrets(plan)}
    return EnvoyConfig(bootstrap(target), files, secrets)


def _plain_clusters(plan: Plan, target: EnvoyTarget) -> list[Json]:
    if not plan.http_backends:
        return []
    from aigw.render.envoy.http_routes import plain_clusters  # noqa: PLC0415 - for few plans

    return plain_clusters(plan, target)


def bootstrap(target: EnvoyTarget) -> Json:
    """The part of the configuration that never changes while Envoy runs."""
    static: list[Json] = []
    if target.data_plane is DataPlane.EXTPROC:
        static.append(extproc_cluster(target))
    pipe = {"path": target.admin_socket, "mode": _SOCKET_MODE}
    return {
        "node": {"id": target.node_id, "cluster": "aigw"},
        "admin": {"address": {"pipe": pipe}},
        "dynamic_resources": {
            "cds_config": file_source(f"{target.xds_dir}/{CDS_FILE}"),
            "lds_config": file_source(f"{target.xds_dir}/{LDS_FILE}"),
        },
        "static_resources": {"clusters": static},
        "bootstrap_extensions": [BOOTSTRAP_EXTENSION],
        "layered_runtime": {
            "layers": [
                {
                    "name": "aigw",
                    "static_layer": {
                        # Its watermarks crash Envoy 1.40 when an upstream filter holds data.
                        "envoy.reloadable_features.grpc_side_stream_flow_control": False,
                        # An expression of a usual list of models is beyond the default, 100; one
                        # alone would have all routes of its listener refused.
                        "re2.max_program_size.error_level": MAX_EXPRESSION,
                    },
                }
            ]
        },
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": f"{TYPE}envoy.extensions.network.dns_resolver.cares.v3."
                "CaresDnsResolverConfig",
                # A name that never resolves delays the start by at most their product.
                "query_timeout_seconds": 2,
                "query_tries": 2,
            },
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{TYPE}envoy.extensions.resource_monitors."
                        "downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
    }


def self_contained(config: EnvoyConfig) -> Json:
    """Everything in one bootstrap without xDS files, for `envoy --mode validate` and for people.

    Validation does not read files that are watched. Credentials of clients are not in it, but
    others that are as good for validation.
    """
    result = deepcopy(config.bootstrap)
    result.pop("dynamic_resources", None)
    routes = {
        str(resource["name"]): without_credentials(resource)
        for path, found in config.files.items()
        if path.startswith("rds/")
        for resource in _resources(found)
    }
    (tokens,) = _resources(config.files[TOKENS_FILE])
    listeners = _resources(config.files[LDS_FILE])
    for listener in listeners:
        for chain in listener["filter_chains"]:
            manager = chain["filters"][-1]["typed_config"]
            if "rds" in manager:
                name = manager.pop("rds")["route_config_name"]
                manager["route_config"] = routes[name]
                for item in manager["http_filters"]:
                    if item.pop("config_discovery", None):
                        item["typed_config"] = tokens["typed_config"]
    static = cast("dict[str, list[Any]]", result["static_resources"])
    static["clusters"] = [*static["clusters"], *_resources(config.files[CDS_FILE])]
    static["listeners"] = listeners
    return result


def _resources(found: Json) -> list[dict[str, Any]]:
    resources = cast("list[dict[str, Any]]", deepcopy(resources_of(found)))
    for resource in resources:
        resource.pop("@type")
    return resources
