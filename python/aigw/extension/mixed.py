"""Rules with backends by name and by address, for which Envoy Gateway makes a cluster each.

It chooses among them by weight, which knows no priorities. One more cluster puts them in order; its
members keep how they are reached.
"""

from collections.abc import Sequence

from aigw.extension.messages import Message, from_json
from aigw.extension.names import cluster_place
from aigw.extension.served import Named, ServedRule
from aigw.render.envoy.backend_traffic import CONNECT_TIMEOUT
from aigw.render.envoy.names import Json, typed

_AGGREGATE = "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
_CLUSTER = "envoy.config.cluster.v3.Cluster"


def ordered(names: Sequence[str], rule: ServedRule) -> tuple[tuple[str, ...], ...]:
    """Clusters of a rule by priority; empty where they are not known, or all of one priority."""
    if len(rule.rule.groups) < 2:
        return ()
    groups: dict[int, list[str]] = {}
    for name, found in zip(names, _refs(names, rule), strict=True):
        if found is None:
            return ()
        groups.setdefault(found.priority, []).append(name)
    return tuple(tuple(groups[priority]) for priority in sorted(groups))


def _refs(names: Sequence[str], rule: ServedRule) -> list[Named | None]:
    """The backends of clusters: in order if none is missing, else by their numbers."""
    if len(names) == len(rule.refs):
        return [*rule.refs]
    by_number = {item.ref: item for item in rule.refs}
    places = [cluster_place(name) for name in names]
    return [
        None if place is None or place.ref is None else by_number.get(place.ref) for place in places
    ]


def cluster_in_order(name: str, members: Sequence[str]) -> Message:
    """A cluster that tries others one after the other."""
    config = typed(_AGGREGATE, clusters=list(members))
    written: Json = {
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": config},
    }
    return from_json(_CLUSTER, written)
