"""Which SecurityPolicy protects what; which routes go together is told by `admission`."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aigw.api.gateway import Gateway
from aigw.api.model import Resource
from aigw.compile.index import Index
from aigw.compile.listeners import Entrance
from aigw.compile.policy_targets import GATEWAY, HTTP_ROUTE, Applied, Target, targets_of
from aigw.compile.report import Report
from aigw.compile.site import Site
from aigw.errors import Code, ResourceId

if TYPE_CHECKING:
    from aigw.api.security_policy import SecurityPolicy
    from aigw.plan.security import Security

_POLICY = ("gateway.envoyproxy.io", "SecurityPolicy")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy in force (empty: none), or the one because of which nothing may be served."""

    key: str = ""
    guard: ResourceId | None = None


@dataclass(slots=True)
class SecurityPolicies:
    """All policies by what they target. `found` holds those in force by their hash."""

    index: Index
    report: Report
    site: Site = Site.MACHINE
    found: "dict[str, Security]" = field(default_factory=dict)
    applied: "Applied[SecurityPolicy]" = field(init=False)
    _verdicts: dict[ResourceId, Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reads and reports each policy once; the models are imported where there is one."""
        self.applied = Applied(self.report)
        if _POLICY not in self.index.kinds:
            return
        from aigw.api.security_policy import SecurityPolicy  # noqa: PLC0415
        from aigw.compile.security.clients import Reader  # noqa: PLC0415
        from aigw.compile.security.foreign import ForeignReader  # noqa: PLC0415

        is_ours = self.site is Site.MACHINE
        reader = Reader(self.index, self.report) if is_ours else ForeignReader()
        for policy in self.index.all(SecurityPolicy):
            key = reader.read(policy)
            self._verdicts[policy.id] = Verdict(key or "", None if key else policy.id)
            self._report_kinds(policy)
            for target in targets_of(policy.spec, policy.namespace, self.index):
                if target.is_gateway or target.is_route:
                    self.applied.add(policy, self._checked(policy, target))
        self.found = reader.found

    def _report_kinds(self, policy: "SecurityPolicy") -> None:
        """Names targets of other kinds, or that there are none."""
        spec = policy.spec
        for position, ref in enumerate(spec.targets):
            if (ref.group, ref.kind) not in (GATEWAY, HTTP_ROUTE):
                message = f"{ref.kind} is not supported as a target, only Gateway and HTTPRoute"
                path = f"spec.targetRefs[{position}]"
                self.report.error(policy.id, Code.UNSUPPORTED, path, message)
        for position, selector in enumerate(spec.selectors):
            if (selector.group, selector.kind) not in (GATEWAY, HTTP_ROUTE):
                message = f"{selector.kind} is not supported as a target"
                path = f"spec.targetSelectors[{position}]"
                self.report.error(policy.id, Code.UNSUPPORTED, path, message)
        if not spec.targets and not spec.selectors:
            message = "targets nothing"
            self.report.warning(policy.id, Code.NO_EFFECT, "spec.targetRefs", message)

    def _checked(self, policy: "SecurityPolicy", target: Target) -> Target:
        """The target as it counts; what it lacks is named."""
        if target.is_route and target.section:
            message = "rules of one route cannot have policies of their own; all of it is meant"
            path = f"{target.path}.sectionName"
            self.report.error(policy.id, Code.UNSUPPORTED, path, message)
            self._verdicts[policy.id] = Verdict(guard=policy.id)
            return replace(target, section="")
        identity = ResourceId(*GATEWAY, policy.namespace, target.name)
        if target.is_gateway and not self.index.is_written(identity):
            self.report.warning(policy.id, Code.NOT_FOUND, target.path, f"{identity} not found")
        gateway = self.index.get(Gateway, policy.namespace, target.name)
        listeners = {item.name for item in gateway.spec.listeners} if gateway else set()
        if target.is_gateway and gateway and target.section not in {*listeners, ""}:
            message = f"{identity} has no listener of the name {target.section}"
            path = f"{target.path}.sectionName"
            self.report.warning(policy.id, Code.NOT_FOUND, path, message)
        return target

    def of_listener(self, entrance: Entrance) -> Verdict:
        """What protects a listener where no route has a say."""
        gateway = entrance.gateway
        name = (gateway.namespace, gateway.metadata.name)
        own = self.applied.of_gateway(*name, entrance.listener.name)
        found = self._verdict(ResourceId(*GATEWAY, *name), own or self.applied.of_gateway(*name))
        return found or Verdict()

    def of_route(self, entrance: Entrance, route: Resource) -> Verdict:
        """What protects a route on a listener: the most specific policy, as a whole."""
        target = ResourceId(*HTTP_ROUTE, route.namespace, route.metadata.name)
        found = self._verdict(target, self.applied.of_route(route))
        return self.of_listener(entrance) if found is None else found

    def _verdict(self, target: ResourceId, policy: "SecurityPolicy | None") -> Verdict | None:
        """A policy with errors may be the one that counts."""
        rejected = self.index.rejected_policies(_POLICY, target)
        if rejected:
            return Verdict(guard=rejected[0])
        return self._verdicts[policy.id] if policy else None
