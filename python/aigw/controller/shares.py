"""What each Gateway's data plane gets of a plan: its own part, and no credential besides."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from aigw.plan import Plan, Port


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one Gateway, and the routes (`<ns>/<name>`) that are served there."""

    plan: Plan
    routes: frozenset[str]


def shares_of(plan: Plan) -> Mapping[str, Share]:
    """Shares by Gateway (`<ns>/<name>`), also of those without routes."""
    reached: dict[str, dict[str, None]] = {name: {} for name in plan.gateways}
    for port in plan.ports:
        reached[port.gateway].update(dict.fromkeys(_rules_of(port)))
    return {gateway: _share(plan, gateway, rules) for gateway, rules in reached.items()}


def _rules_of(port: Port) -> Iterator[str]:
    for listener in port.listeners:
        for host in listener.virtual_hosts:
            for match in host.matches:
                yield match.rule


def _share(plan: Plan, gateway: str, reached: Mapping[str, None]) -> Share:
    rules = {name: plan.rules[name] for name in reached}
    names = {
        member.backend: None
        for rule in rules.values()
        for group in rule.groups
        for member in group.members
    }
    backends = {name: plan.backends[name] for name in names}
    used = {backend.auth.credential for backend in backends.values() if backend.auth}
    own = replace(
        plan,
        gateways={gateway: plan.gateways[gateway]},
        ports=tuple(port for port in plan.ports if port.gateway == gateway),
        rules=rules,
        backends=backends,
        credentials={name: value for name, value in plan.credentials.items() if name in used},
    )
    return Share(own, frozenset(rule.route for rule in rules.values()))
