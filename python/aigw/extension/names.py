"""Names that Envoy Gateway gives to what it makes of routes."""

import re
from dataclasses import dataclass

_CLUSTER = re.compile(r"httproute/([^/]+)/([^/]+)/rule/(\d+)(?:/backend/(\d+))?\Z")
_RULE = re.compile(r"httproute/([^/]+)/([^/]+)/rule/(\d+)/")


@dataclass(frozen=True, slots=True)
class Place:
    """A rule of a route, or one of its backendRefs: `<ns>/<route>/rule/<i>`, and the number."""

    rule: str
    ref: int | None = None

    @property
    def route(self) -> str:
        """`<ns>/<route>`."""
        return self.rule.partition("/rule/")[0]


def cluster_place(name: str) -> Place | None:
    """Where a cluster, or the region of its endpoints, belongs; None for all others."""
    found = _CLUSTER.match(name)
    if found is None:
        return None
    namespace, route, rule, ref = found.groups()
    return Place(f"{namespace}/{route}/rule/{int(rule)}", None if ref is None else int(ref))


def route_place(name: str) -> Place | None:
    """The rule that a route of Envoy was made of."""
    found = _RULE.match(name)
    if found is None:
        return None
    namespace, route, rule = found.groups()
    return Place(f"{namespace}/{route}/rule/{int(rule)}")
