"""The hooks as pure functions: bytes and a plan in, bytes out.

What is not ours keeps its very bytes. Running a hook on its own result changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aigw.extension.clusters import Clusters
from aigw.extension.endpoints import name_assignment
from aigw.extension.filters import CORE_CLUSTER, core_cluster, target
from aigw.extension.listeners import Listeners
from aigw.extension.messages import encoded, from_json, parsed
from aigw.extension.mixed import cluster_in_order
from aigw.extension.names import cluster_place
from aigw.extension.routes import Routes
from aigw.extension.served import Served
from aigw.extension.settings import Settings
from aigw.render.envoy.local_replies import NO_MODEL_ROUTE
from aigw.render.envoy.security import no_model_cluster

_CLUSTER = "envoy.config.cluster.v3.Cluster"
_LISTENER = "envoy.config.listener.v3.Listener"
_ROUTES = "envoy.config.route.v3.RouteConfiguration"
_ASSIGNMENT = "envoy.config.endpoint.v3.ClusterLoadAssignment"


@dataclass(frozen=True, slots=True)
class Bundle:
    """All resources of one translation, each as its bytes."""

    clusters: tuple[bytes, ...] = ()
    listeners: tuple[bytes, ...] = ()
    routes: tuple[bytes, ...] = ()
    secrets: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A result. `unknown` are rules and clusters on which xDS and the plan do not agree."""

    bundle: Bundle
    unknown: frozenset[str] = frozenset()


def rewrite(bundle: Bundle, served: Served, settings: Settings) -> Rewritten:
    """What Envoy gets in place of a bundle.

    Raises:
        DecodeError: The bytes are not what they should be.
    """
    clusters = Clusters(served.plan, settings)
    routes = Routes(served, clusters, target(settings))
    new_routes = []
    for data in bundle.routes:
        config = parsed(_ROUTES, data)
        new_routes.append(encoded(config) if routes.rewrite(config) else data)
    unknown = set(routes.unknown)
    new_clusters = [*_clusters(bundle.clusters, served, clusters, routes, unknown)]
    listeners = Listeners(served.plan, settings, routes.configs)
    new_listeners = []
    for data in bundle.listeners:
        listener = parsed(_LISTENER, data)
        new_listeners.append(encoded(listener) if listeners.rewrite(listener) else data)
    result = Bundle(tuple(new_clusters), tuple(new_listeners), tuple(new_routes), bundle.secrets)
    return Rewritten(result, frozenset(unknown))


def _clusters(
    written: Iterable[bytes], served: Served, clusters: Clusters, routes: Routes, unknown: set[str]
) -> Iterable[bytes]:
    names = set()
    for data in written:
        cluster = parsed(_CLUSTER, data)
        names.add(cluster.name)
        place = cluster_place(cluster.name)
        gateway = routes.used.get(cluster.name, "")
        rule = served.rule(place.rule, gateway) if place else None
        if place is None or (rule is None and cluster.name not in routes.used):
            yield data
            continue
        if not clusters.rewrite(cluster, place, rule):
            unknown.add(cluster.name)
        yield encoded(cluster)
    for name, members in sorted(routes.joined.items()):
        if name not in names:
            cluster = cluster_in_order(name, members)
            clusters.join(cluster)
            yield encoded(cluster)
    if routes.configs and CORE_CLUSTER not in names:
        yield encoded(from_json(_CLUSTER, core_cluster(clusters.settings)))
    if routes.needs_no_model and NO_MODEL_ROUTE not in names:
        yield encoded(from_json(_CLUSTER, no_model_cluster()))


def name_endpoints(data: bytes, served: Served) -> Rewritten:
    """A load assignment with the backends of its endpoints; others as they are."""
    assignment = parsed(_ASSIGNMENT, data)
    place = cluster_place(assignment.cluster_name)
    rule = served.rule(place.rule) if place else None
    if rule is None:
        return Rewritten(Bundle((data,)))
    agrees = name_assignment(assignment, rule)
    unknown = frozenset() if agrees else frozenset((assignment.cluster_name,))
    return Rewritten(Bundle((encoded(assignment),)), unknown)
