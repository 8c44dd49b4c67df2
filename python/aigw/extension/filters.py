"""What is put into clusters and connection managers, made by the renderer of Envoy's files.

The names of the filters and of the core's cluster are a contract with Envoy Gateway's users, and
other than those of `aigw run`.
"""

from typing import cast

from aigw.extension.settings import Settings
from aigw.plan import Plan
from aigw.render.envoy.access_log import to_the_core
from aigw.render.envoy.cluster_names import renamed, with_references
from aigw.render.envoy.clusters import extproc_cluster
from aigw.render.envoy.filters import attempt_filters, request_ext_proc
from aigw.render.envoy.names import (
    BACKEND_KEY,
    EXTPROC_CLUSTER,
    HOST_METADATA,
    Json,
    typed,
)
from aigw.render.envoy.target import DataPlane, EnvoyTarget

CORE_CLUSTER = "ai-gateway-extproc-uds"
CORE_FILTER = "envoy.filters.http.ext_proc/aigateway"
GATEWAY_HEADER = "x-aigw-gateway"
_OURS = {EXTPROC_CLUSTER: CORE_CLUSTER}
_OF_CLUSTER = f"xds.cluster_metadata.filter_metadata['{HOST_METADATA}']['{BACKEND_KEY}']"
_PER_ROUTE = "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"


def target(settings: Settings) -> EnvoyTarget:
    """The Envoy of a pod, for the renderer."""
    return EnvoyTarget(DataPlane.EXTPROC, "/", "/", "/", extproc_socket=settings.socket)


def core_cluster(settings: Settings) -> Json:
    """The processor on its socket."""
    return renamed(extproc_cluster(target(settings)), _OURS)


def request_filter(plan: Plan) -> Json:
    """In connection managers, off: routes turn it on."""
    found = with_references(request_ext_proc(plan, {}), _OURS)
    return {**found, "name": CORE_FILTER, "disabled": True}


def request_filter_on(gateway: str) -> Json:
    """Per route: on, for a Gateway (Gateways may share a listener)."""
    name = [{"key": GATEWAY_HEADER, "value": gateway}]
    return typed(_PER_ROUTE, overrides={"grpc_initial_metadata": name})


def provider_filters(plan: Plan, settings: Settings) -> list[Json]:
    """In front of providers; the last one is Envoy's own and ends the chain.

    Without the hook for endpoints, a cluster with one backend tells which it is.
    """
    core, *others = attempt_filters(plan, target(settings), "")
    found = with_references({**core, "name": CORE_FILTER}, _OURS)
    config = cast("Json", found["typed_config"])
    host, *more = cast("list[str]", config["request_attributes"])
    return [
        {**found, "typed_config": {**config, "request_attributes": [host, _OF_CLUSTER, *more]}},
        *others,
    ]


def usage_logs(settings: Settings) -> list[Json]:
    """Tells the core how requests ended, on its own socket."""
    return [with_references(item, _OURS) for item in to_the_core(target(settings))]
