"""Targets of policies, by name and by labels, and which policy applies to each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, TypeVar

from aigw.api.gateway import Gateway
from aigw.api.labels import LabelSelector
from aigw.api.model import Resource
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId

if TYPE_CHECKING:
    from aigw.api import policy_targets, security_policy

    Selector = policy_targets.TargetSelector | security_policy.TargetSelector
    Spec = policy_targets.TargetedSpec | security_policy.SecurityPolicySpec

GATEWAY = (Gateway.GROUP, "Gateway")
HTTP_ROUTE = (Gateway.GROUP, "HTTPRoute")

P = TypeVar("P", bound=Resource)

RouteName = tuple[str, str]
"""Namespace and name; a route of ours has those of the HTTPRoute that a cluster makes for it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One object, or a section of it, and where the policy says so; or the routes of a selector."""

    group: str
    kind: str
    name: str
    section: str
    path: str
    selector: LabelSelector | None = None

    @property
    def is_gateway(self) -> bool:
        """Whether it is a Gateway or a listener."""
        return (self.group, self.kind) == GATEWAY

    @property
    def is_route(self) -> bool:
        """Whether it is a route or a rule."""
        return (self.group, self.kind) == HTTP_ROUTE


def targets_of(spec: "Spec", namespace: str, index: Index) -> Iterator[Target]:
    """All targets of a policy; those by name need not exist, routes with labels come as one."""
    for position, ref in enumerate(spec.targets):
        path = f"spec.targetRefs[{position}]"
        yield Target(ref.group, ref.kind, ref.name, ref.section_name or "", path)
    selectors: Sequence[Selector] = spec.selectors
    for position, selector in enumerate(selectors):
        path, kind = f"spec.targetSelectors[{position}]", (selector.group, selector.kind)
        if kind == HTTP_ROUTE:
            yield Target(*kind, "", "", path, selector)
        for name in selected_gateways(selector, namespace, index) if kind == GATEWAY else ():
            yield Target(*kind, name, "", path)


def selected_gateways(selector: LabelSelector, namespace: str, index: Index) -> list[str]:
    """Names of the Gateways in a namespace that have the labels."""
    return [
        found.metadata.name
        for found in index.all(Gateway)
        if found.namespace == namespace and selector.accepts(found.metadata.labels)
    ]


@dataclass(frozen=True, slots=True)
class _Use(Generic[P]):
    """A policy at one of its targets; `rank` counts from the oldest policy."""

    rank: int
    policy: P
    target: Target


class Applied(Generic[P]):
    """Policies of a kind by target: the oldest has it, the others are named.

    Which policies a route has is asked for each route, so nothing in here depends on routes.
    """

    def __init__(self, report: Report) -> None:
        """Nothing is targeted yet."""
        self._report = report
        self._count = 0
        self._gateways: dict[tuple[str, str, str], P] = {}
        self._routes: dict[RouteName, dict[str, list[_Use[P]]]] = {}
        self._selecting: dict[str, list[_Use[P]]] = {}

    def add(self, policy: P, target: Target) -> None:
        """Policies come oldest first."""
        self._count += 1
        use = _Use(self._count, policy, target)
        if target.selector:
            self._selecting.setdefault(policy.namespace, []).append(use)
        elif target.is_route:
            sections = self._routes.setdefault((policy.namespace, target.name), {})
            sections.setdefault(target.section, []).append(use)
        else:
            key = (policy.namespace, target.name, target.section)
            self._report_others(use, self._gateways.setdefault(key, policy))

    @property
    def is_used(self) -> bool:
        """Whether any policy has a target."""
        return self._count > 0

    def of_gateway(self, namespace: str, name: str, section: str = "") -> P | None:
        """The policy of exactly this Gateway or listener."""
        return self._gateways.get((namespace, name, section))

    def of_route(self, route: Resource, section: str = "") -> P | None:
        """The policy of exactly this route or rule."""
        uses = self._uses(route, section)
        return uses[0].policy if uses else None

    def selections(self) -> dict[int, tuple[ResourceId, str]]:
        """All selectors of routes by number: their policies, and where these have them."""
        uses = [use for found in self._selecting.values() for use in found]
        return {use.rank: (use.policy.id, use.target.path) for use in uses}

    def check(self, route: Resource) -> tuple[int, ...]:
        """Names what does not apply to a route because another policy does.

        Returns:
            The numbers of the selectors that accept it.
        """
        for section in {**self.named(route.namespace, route.metadata.name), "": ()}:
            uses = self._uses(route, section)
            for use in uses:
                self._report_others(use, uses[0].policy)
        return tuple(use.rank for use in self._selected(route))

    def named(self, namespace: str, name: str) -> Mapping[str, Sequence[_Use[P]]]:
        """Policies that mean a route by its name, by the section that they mean."""
        return self._routes.get((namespace, name), {})

    def check_absent(
        self, is_known: Callable[[RouteName], bool], is_written: Callable[[RouteName], bool]
    ) -> None:
        """The same for names of which no route is known; those that are not written are missing."""
        for name in (name for name in self._routes if not is_known(name)):
            is_missing = not is_written(name)
            for uses in self._routes[name].values():
                for use in uses:
                    if is_missing:
                        message = f"{ResourceId(*HTTP_ROUTE, *name)} not found"
                        path = use.target.path
                        self._report.warning(use.policy.id, Code.NOT_FOUND, path, message)
                    self._report_others(use, uses[0].policy)

    def _uses(self, route: Resource, section: str) -> Sequence[_Use[P]]:
        named = self.named(route.namespace, route.metadata.name).get(section, ())
        if section or not self._selecting:
            return named
        return sorted([*named, *self._selected(route)], key=attrgetter("rank"))

    def _selected(self, route: Resource) -> list[_Use[P]]:
        labels = route.metadata.labels
        return [
            use
            for use in self._selecting.get(route.namespace, ())
            if use.target.selector and use.target.selector.accepts(labels)
        ]

    def _report_others(self, use: _Use[P], first: P) -> None:
        if use.policy is not first:
            message = f"{first.id} already applies to this target"
            self._report.warning(use.policy.id, Code.CONFLICT, use.target.path, message)
