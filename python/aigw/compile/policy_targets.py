"""Targets of policies, by name and by labels, and which policy applies to each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.model import Resource
from aigw.api.policy_targets import TargetedSpec, TargetSelector
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code

GATEWAY = (Gateway.GROUP, "Gateway")
HTTP_ROUTE = (Gateway.GROUP, "HTTPRoute")
_MODELS: Mapping[tuple[str, str], type[Resource]] = {GATEWAY: Gateway, HTTP_ROUTE: AIGatewayRoute}
"""What a target is to us: a route goes by the name of the HTTPRoute that a cluster has for it."""


P = TypeVar("P", bound=Resource)


@dataclass(frozen=True, slots=True)
class Target:
    """One object, or a section of it, and where the policy says so."""

    group: str
    kind: str
    name: str
    section: str
    path: str

    @property
    def is_gateway(self) -> bool:
        """Whether it is a Gateway or a listener."""
        return (self.group, self.kind) == GATEWAY

    @property
    def is_route(self) -> bool:
        """Whether it is a route or a rule."""
        return (self.group, self.kind) == HTTP_ROUTE


def targets_of(spec: TargetedSpec, namespace: str, index: Index) -> Iterator[Target]:
    """All targets of a policy; those by name need not exist."""
    for position, ref in enumerate(spec.targets):
        path = f"spec.targetRefs[{position}]"
        yield Target(ref.group, ref.kind, ref.name, ref.section_name or "", path)
    for position, selector in enumerate(spec.selectors):
        for name in selected(selector, namespace, index):
            path = f"spec.targetSelectors[{position}]"
            yield Target(selector.group, selector.kind, name, "", path)


def selected(selector: TargetSelector, namespace: str, index: Index) -> list[str]:
    """Names of the objects in a namespace that have the labels."""
    model = _MODELS.get((selector.group, selector.kind))
    if model is None:
        return []
    return [
        found.metadata.name
        for found in index.all(model)
        if found.namespace == namespace and selector.accepts(found.metadata.labels)
    ]


class Applied(Generic[P]):
    """Policies of a kind by target: the oldest has it, the others are named."""

    def __init__(self, report: Report) -> None:
        """Nothing is targeted yet."""
        self._report = report
        self._found: dict[tuple[str, str, str, str], P] = {}

    def add(self, policy: P, target: Target) -> None:
        """Policies come oldest first."""
        key = (target.kind, policy.namespace, target.name, target.section)
        first = self._found.setdefault(key, policy)
        if first is not policy:
            message = f"{first.id} already applies to this target"
            self._report.warning(policy.id, Code.CONFLICT, target.path, message)

    def get(self, kind: str, namespace: str, name: str, section: str = "") -> P | None:
        """The policy of exactly this target."""
        return self._found.get((kind, namespace, name, section))
