"""Limits of a route that cannot be enforced: the route is not served without them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.compile.routes import CompiledRule
from aigw.errors import Code, ResourceId

if TYPE_CHECKING:
    from aigw.api.http_route import HTTPRoute

_EG = "gateway.envoyproxy.io"
_GW = "gateway.networking.k8s.io"
_OF_CLIENTS = ("clientIPDetection", "headers", "tls")
"""Fields that say which clients are let in, or which of their headers count."""


def guarded(
    route: AIGatewayRoute,
    gateway: Gateway,
    rules: tuple[CompiledRule, ...],
    index: Index,
    report: Report,
) -> tuple[CompiledRule, ...]:
    """The rules as they are, or without backends when the protection of the route is missing.

    Serving a route without the limits that its owner asked for would be worse than not serving
    it. Authentication is the matter of `aigw.compile.security.policies`.
    """
    guard = unenforced(route, gateway, index)
    if guard is None:
        return rules
    message = f"is not served, because {guard} protects it and cannot be enforced"
    report.error(route.id, Code.LEFT_OUT, "", message)
    return tuple(
        CompiledRule(replace(item.rule, groups=(), retry=None), (), item.matches) for item in rules
    )


def withheld(item: CompiledRule) -> CompiledRule:
    """A rule that answers with 503 where it may not serve what it serves elsewhere."""
    rule = replace(item.rule, id=f"{item.rule.id}/withheld", groups=(), retry=None)
    return CompiledRule(rule, (), item.matches)


def unenforced(
    route: "AIGatewayRoute | HTTPRoute", gateway: Gateway, index: Index
) -> ResourceId | None:
    """Limits of a route, or of all of its Gateway, that cannot be enforced."""
    targets = (
        ResourceId(_GW, "HTTPRoute", route.namespace, route.metadata.name),
        ResourceId(_GW, "Gateway", gateway.namespace, gateway.metadata.name),
    )
    for target in targets:
        limits = index.rejected_policies((_EG, "BackendTrafficPolicy"), target)
        found = [policy for policy in limits if index.mentions(policy, "rateLimit")]
        found += [
            policy
            for policy in index.rejected_policies((_EG, "ClientTrafficPolicy"), target)
            if any(index.mentions(policy, field) for field in _OF_CLIENTS)
        ]
        if found:
            return found[0]
    return None
