"""The plan, by the names that xDS has for its parts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from aigw.compile.hosts import covers, specificity
from aigw.plan import Backend, Endpoint, Listener, Plan, RouteMatch, Rule, VirtualHost
from aigw.render.envoy.filter_config import backend_ids

_REF = re.compile(r"/ref/(\d+)(?:@.*)?\Z")
_WITHHELD = "/withheld"


@dataclass(frozen=True, slots=True)
class Named:
    """A backend of a rule: its id in the filter config, and its priority, from 0."""

    ref: int
    id: str
    backend: Backend
    priority: int

    def has(self, address: str, port: int) -> bool:
        """Whether an address is one of its endpoints."""
        return (_written(address), port) in {
            (_written(item.address), item.port) for item in self.backend.endpoints
        }

    def endpoint(self, address: str, port: int) -> Endpoint | None:
        """Its endpoint of an address."""
        return next(
            (
                item
                for item in self.backend.endpoints
                if (_written(item.address), item.port) == (_written(address), port)
            ),
            None,
        )


def _written(address: str) -> str:
    return address.lower().removesuffix(".")


@dataclass(frozen=True, slots=True)
class ServedRule:
    """A rule with its backends in the order of their references."""

    rule: Rule
    refs: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class ServedHost:
    """Whom a host of a listener serves: by the id of a rule, its name there and its policy."""

    host: VirtualHost
    matches: Mapping[str, RouteMatch]


@dataclass(frozen=True)
class Served:
    """Look-ups over a plan; made once for each."""

    plan: Plan
    _hosts: dict[tuple[str, str], ServedHost] = field(default_factory=dict)
    _rules: dict[str, ServedRule] = field(default_factory=dict)

    @cached_property
    def _ids(self) -> Mapping[str, str]:
        return backend_ids(self.plan)

    def rule(self, rule: str, gateway: str = "") -> ServedRule | None:
        """A rule as it is on a Gateway, by `<ns>/<route>/rule/<i>`."""
        own = f"{rule}@{gateway}"
        found = self.plan.rules.get(own) or self.plan.rules.get(rule)
        return self.of(found) if found else None

    def of(self, rule: Rule) -> ServedRule:
        """A rule of the plan with its backends."""
        known = self._rules.get(rule.id)
        if known is None:
            known = self._rules[rule.id] = ServedRule(rule, self._refs(rule))
        return known

    def _refs(self, rule: Rule) -> tuple[Named, ...]:
        found = [
            Named(_ref(member.backend), self._ids[member.backend], backend, priority)
            for priority, group in enumerate(rule.groups)
            for member in group.members
            if (backend := self.plan.backends.get(member.backend))
        ]
        return tuple(sorted(found, key=lambda item: item.ref))

    def host(self, gateway: str, listener: str, config: str, domain: str) -> ServedHost | None:
        """What the plan says about a virtual host.

        `listener` is the name of a listener of the Gateway, `config` that of a route configuration.
        The plan has one listener where several share a port, under the name of the first.
        """
        found = self._listener(gateway, listener, config, domain)
        if found is None:
            return None
        covering = [item for item in found.virtual_hosts if covers(item.hostname, domain)]
        best = max(covering, key=lambda item: specificity(item.hostname), default=None)
        if best is None:
            return None
        key = (found.name, best.hostname)
        known = self._hosts.get(key)
        if known is None:
            known = self._hosts[key] = ServedHost(best, _by_rule(best))
        return known

    def _listener(self, gateway: str, listener: str, config: str, domain: str) -> Listener | None:
        own = [
            item for port in self.plan.ports if port.gateway == gateway for item in port.listeners
        ]
        for name in (f"{gateway}/{listener}", config):
            for item in own:
                if item.name == name:
                    return item
        merged = [
            item for item in own if any(host.hostname == domain for host in item.virtual_hosts)
        ]
        return merged[0] if len(merged) == 1 else None


def _ref(name: str) -> int:
    found = _REF.search(name)
    return int(found[1]) if found else 0


def _by_rule(host: VirtualHost) -> Mapping[str, RouteMatch]:
    """Matches by the id of their rule, without what the plan adds to it."""
    found: dict[str, RouteMatch] = {}
    for match in host.matches:
        if not match.paths:
            base = match.rule.partition("@")[0].removesuffix(_WITHHELD)
            found.setdefault(base, match)
    return found


def agree(
    refs: Sequence[Named], groups: Sequence[tuple[int, Sequence[tuple[str, int]]]]
) -> list[Named | None]:
    """For each group of endpoints in xDS the backend that it is, or None.

    `groups` are the number of a backendRef in the HTTPRoute and the addresses. References that
    cannot be used may be missing there, so numbers alone prove nothing: a backend is named only on
    endpoints that the plan has for it, because its credential goes where the name is.
    """
    if len(refs) == len(groups) and all(
        _fits(ref, points) for ref, (_, points) in zip(refs, groups, strict=True)
    ):
        return list(refs)
    return [_one(refs, number, points) for number, points in groups]


def _one(refs: Sequence[Named], number: int, points: Sequence[tuple[str, int]]) -> Named | None:
    fitting = [item for item in refs if _fits(item, points)]
    exact = [item for item in fitting if item.ref == number]
    found = exact or fitting
    return found[0] if len(found) == 1 else None


def _fits(ref: Named, points: Sequence[tuple[str, int]]) -> bool:
    return all(ref.has(*point) for point in points)
