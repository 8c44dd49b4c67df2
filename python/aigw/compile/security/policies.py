"""Which SecurityPolicy protects what, and routes that cannot be served together.

Envoy authenticates a request on the first match of its route, before the model is known. So all
routes behind one host of a listener must have one policy: the oldest and those that agree with it
are served. The data plane compares once more, by the hashes of both routes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.model import Resource
from aigw.compile.hosts import covers, intersect
from aigw.compile.index import Index
from aigw.compile.listeners import Entrance
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId

if TYPE_CHECKING:
    from aigw.api.security_policy import SecurityPolicy
    from aigw.plan.security import Security

_POLICY = ("gateway.envoyproxy.io", "SecurityPolicy")
_KINDS = ("Gateway", "HTTPRoute")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy in force (empty: none), or the one because of which nothing may be served."""

    key: str = ""
    guard: ResourceId | None = None


_Admitted = dict[str, dict[str, tuple[int, AIGatewayRoute]]]
"""Of a listener: by policy and host the oldest route that is served, and how many are older."""


@dataclass(frozen=True, slots=True)
class _Level:
    """What a policy can target: an object, or a listener of it."""

    kind: str
    namespace: str
    name: str
    section: str = ""

    @property
    def target(self) -> ResourceId:
        return ResourceId(Gateway.GROUP, self.kind, self.namespace, self.name)


@dataclass(slots=True)
class SecurityPolicies:
    """All policies by what they target. `found` holds those in force by their hash."""

    index: Index
    report: Report
    found: "dict[str, Security]" = field(default_factory=dict)
    _targets: "dict[_Level, SecurityPolicy]" = field(default_factory=dict)
    _verdicts: dict[ResourceId, Verdict] = field(default_factory=dict)
    _admitted: dict[str, _Admitted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reads and reports each policy once; the models are imported where there is one."""
        if _POLICY not in self.index.kinds:
            return
        from aigw.api.security_policy import SecurityPolicy  # noqa: PLC0415
        from aigw.compile.security.clients import Reader  # noqa: PLC0415

        reader = Reader(self.index, self.report)
        for policy in self.index.all(SecurityPolicy):
            key = reader.read(policy)
            self._verdicts[policy.id] = Verdict(key or "", None if key else policy.id)
            for level, path in self._levels(policy):
                first = self._targets.setdefault(level, policy)
                if first is not policy:
                    message = f"{first.id} already applies to {level.target}"
                    self.report.warning(policy.id, Code.CONFLICT, path, message)
        self.found = reader.found

    def _levels(self, policy: "SecurityPolicy") -> Iterator[tuple[_Level, str]]:
        position = -1
        for position, ref in enumerate(policy.spec.targets):
            path = f"spec.targetRefs[{position}]"
            if (ref.group, ref.kind) not in {(Gateway.GROUP, kind) for kind in _KINDS}:
                message = f"{ref.kind} is not supported as a target, only Gateway and HTTPRoute"
                self.report.error(policy.id, Code.UNSUPPORTED, path, message)
                continue
            level = _Level(ref.kind, policy.namespace, ref.name, ref.section_name or "")
            if ref.kind == "HTTPRoute" and ref.section_name:
                message = "rules of one route cannot have policies of their own; all of it is meant"
                self.report.error(policy.id, Code.UNSUPPORTED, f"{path}.sectionName", message)
                self._verdicts[policy.id] = Verdict(guard=policy.id)
                level = _Level(ref.kind, policy.namespace, ref.name)
            self._check_presence(policy, ref.kind, level, path)
            yield level, path
        selectors = policy.spec.target_selectors or []
        for number, selector in enumerate(selectors):
            path = f"spec.targetSelectors[{number}]"
            if selector.group != Gateway.GROUP or selector.kind not in _KINDS:
                message = f"{selector.kind} is not supported as a target"
                self.report.error(policy.id, Code.UNSUPPORTED, path, message)
                continue
            for item in self._all(selector.kind):
                if item.namespace == policy.namespace and selector.accepts(item.metadata.labels):
                    yield _Level(selector.kind, item.namespace, item.metadata.name), path
        if position < 0 and not selectors:
            message = "targets nothing"
            self.report.warning(policy.id, Code.NO_EFFECT, "spec.targetRefs", message)

    def _all(self, kind: str) -> Sequence[Resource]:
        """Gateways, or routes: ours, and plain ones if there are any."""
        if kind == Gateway.KIND:
            return self.index.all(Gateway)
        routes: list[Resource] = [*self.index.all(AIGatewayRoute)]
        if (Gateway.GROUP, kind) not in self.index.kinds:
            return routes
        from aigw.api.http_route import HTTPRoute  # noqa: PLC0415

        return [*routes, *self.index.all(HTTPRoute)]

    def _check_presence(
        self, policy: "SecurityPolicy", kind: str, level: _Level, path: str
    ) -> None:
        """A route of ours goes by the name of the HTTPRoute that a cluster would have for it."""
        own = ResourceId(AIGatewayRoute.GROUP, AIGatewayRoute.KIND, level.namespace, level.name)
        is_own = kind == "HTTPRoute" and self.index.is_written(own)
        if not is_own and not self.index.is_written(level.target):
            self.report.warning(policy.id, Code.NOT_FOUND, path, f"{level.target} not found")
            return
        gateway = self.index.get(Gateway, level.namespace, level.name)
        if kind == "Gateway" and gateway and level.section:
            names = {listener.name for listener in gateway.spec.listeners}
            if level.section not in names:
                message = f"{level.target} has no listener of the name {level.section}"
                self.report.warning(policy.id, Code.NOT_FOUND, f"{path}.sectionName", message)

    def of_listener(self, entrance: Entrance) -> Verdict:
        """What protects a listener where no route has a say."""
        gateway = entrance.gateway
        at = (gateway.namespace, gateway.metadata.name)
        return self._first(
            _Level("Gateway", *at, entrance.listener.name), _Level("Gateway", *at, "")
        )

    def of_route(self, entrance: Entrance, route: Resource) -> Verdict:
        """What protects a route on a listener: the most specific policy, as a whole."""
        level = _Level("HTTPRoute", route.namespace, route.metadata.name)
        found = self._at(level)
        return self.of_listener(entrance) if found is None else found

    def _first(self, *levels: _Level) -> Verdict:
        found = (self._at(level) for level in levels)
        return next((verdict for verdict in found if verdict is not None), Verdict())

    def _at(self, level: _Level) -> Verdict | None:
        """A policy with errors may be the one that counts."""
        rejected = self.index.rejected_policies(_POLICY, level.target)
        if rejected:
            return Verdict(guard=rejected[0])
        policy = self._targets.get(level)
        return self._verdicts[policy.id] if policy else None

    def admit(self, entrance: Entrance, route: AIGatewayRoute) -> Verdict:
        """Whether a route can be served on a listener; routes must come oldest first."""
        verdict = self.of_route(entrance, route)
        if verdict.guard:
            message = f"is not served, because {verdict.guard} protects it and cannot be enforced"
            self.report.error(route.id, Code.LEFT_OUT, "", message)
            return verdict
        if not self._targets:
            return verdict  # nobody has another one
        written = route.spec.hostnames or ["*"]
        hosts = [host for name in written if (host := intersect(entrance.listener.hostname, name))]
        admitted = self._admitted.setdefault(entrance.name, {})
        if older := _conflict(admitted, hosts, verdict.key):
            self._report_conflict(entrance, route, older)
            return Verdict(guard=older.id)
        same = admitted.setdefault(verdict.key, {})
        age = sum(map(len, admitted.values()))
        for host in hosts:
            same.setdefault(host, (age, route))
        return verdict

    def _report_conflict(
        self, entrance: Entrance, route: AIGatewayRoute, older: AIGatewayRoute
    ) -> None:
        where = f"on the listener {entrance.name}"
        why = "clients are authenticated before the model tells the route"
        message = (
            f"is not served {where}: {older.id}, which is older, has the same host and another "
            f"security policy, and {why}"
        )
        self.report.error(route.id, Code.CONFLICT, "", message)
        message = f"{route.id} has the same host and another security policy {where}; it is not "
        self.report.error(older.id, Code.CONFLICT, "", f"{message}served, because {why}")


def _conflict(admitted: _Admitted, hosts: list[str], key: str) -> AIGatewayRoute | None:
    """The oldest route with another policy on one of these hosts."""
    found = (
        older
        for policy, others in admitted.items()
        if policy != key
        for other, older in others.items()
        if any(covers(host, other) or covers(other, host) for host in hosts)
    )
    return min(found, key=itemgetter(0), default=(0, None))[1]
