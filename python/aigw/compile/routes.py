"""AIGatewayRoutes to rules."""

from dataclasses import dataclass, replace

from aigw.api.ai_gateway_route import AIGatewayRoute, AIGatewayRouteRuleMatch
from aigw.api.gateway import Gateway
from aigw.api.header_match import HTTPHeaderMatch
from aigw.compile.backends import Backends, RefPlace
from aigw.compile.costs import cost_faults, costs_of
from aigw.compile.expressions import is_regular_expression
from aigw.compile.mixtures import notes_of
from aigw.compile.report import Report
from aigw.compile.support import Support
from aigw.compile.traffic.backend import BackendPolicies
from aigw.compile.traffic.retry import retry_policy, timeouts_of
from aigw.compile.unseen import UNSEEN, is_unseen
from aigw.errors import Code
from aigw.plan import (
    Backend,
    BackendGroup,
    Cost,
    HeaderMatch,
    MatchType,
    Member,
    Rule,
)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule of the plan, its backends, and one set of header conditions per match.

    `narrowed` are rules for the endpoints that only some of the backends can serve, each with
    the paths of these endpoints.
    """

    rule: Rule
    backends: tuple[Backend, ...]
    matches: tuple[tuple[HeaderMatch, ...], ...]
    narrowed: tuple[tuple[Rule, tuple[str, ...]], ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules."""
        return (*(rule for rule, _ in self.narrowed), self.rule)


class Routes:
    """Compiles the rules of routes."""

    def __init__(
        self,
        report: Report,
        backends: Backends,
        policies: BackendPolicies,
        support: Support,
        credential_headers: frozenset[str],
    ) -> None:
        """Reads nothing yet. `credential_headers` bring credentials and are taken off early."""
        self._report = report
        self._unseen = UNSEEN | credential_headers
        self._support = support
        self._backends = backends
        self._policies = policies

    def compile(self, gateway: Gateway, route: AIGatewayRoute) -> tuple[CompiledRule, ...]:
        """All rules of a route, in its order."""
        costs = self._costs(route)
        compiled = tuple(
            self._rule(gateway, route, index, costs) for index in range(len(route.spec.rules))
        )
        self._report_repeated(route, compiled)
        return compiled

    def _report_repeated(self, route: AIGatewayRoute, compiled: tuple[CompiledRule, ...]) -> None:
        """Names matches that never decide, because an equal one comes first."""
        first: dict[frozenset[HeaderMatch], int] = {}
        for index, rule in enumerate(compiled):
            for headers in rule.matches:
                known = first.setdefault(frozenset(headers), index)
                if known != index:
                    message = f"has a match of rules[{known}] again, which decides first"
                    path = f"spec.rules[{index}].matches"
                    self._report.warning(route.id, Code.NO_EFFECT, path, message)

    def _rule(
        self, gateway: Gateway, route: AIGatewayRoute, index: int, costs: tuple[Cost, ...]
    ) -> CompiledRule:
        written = route.spec.rules[index]
        groups, backends = self._groups(gateway, route, index, costs)
        if not groups:
            message = "has no usable backend; its requests are answered with 503"
            self._report.warning(route.id, Code.NO_EFFECT, f"spec.rules[{index}]", message)
        settings = self._policies.of(gateway, route, written)
        timeouts = timeouts_of(written, settings)
        rule = Rule(
            id=f"{route.id.path}/rule/{index}",
            route=route.id.path,
            groups=groups,
            timeouts=timeouts,
            retry=retry_policy(settings.retry, len(groups), timeouts),
            traffic=settings.traffic,
        )
        for note in notes_of(rule, backends):
            self._report.warning(route.id, Code.NO_EFFECT, f"spec.rules[{index}]", note)
        narrowed = tuple(
            (
                replace(
                    rule,
                    id=f"{rule.id}/some/{number}",
                    groups=fewer,
                    retry=retry_policy(settings.retry, len(fewer), timeouts),
                ),
                paths,
            )
            for number, (fewer, paths) in enumerate(
                self._support.narrowed(groups, backends).items()
            )
        )
        return CompiledRule(rule, backends, self._matches(route, index), narrowed)

    def _groups(
        self, gateway: Gateway, route: AIGatewayRoute, index: int, costs: tuple[Cost, ...]
    ) -> tuple[tuple[BackendGroup, ...], tuple[Backend, ...]]:
        """Groups in the order of their priorities; weight 0 takes a backend out.

        Fallbacks are a group of their own after the others of their priority.
        """
        members: dict[tuple[int, bool], list[Member]] = {}
        backends: list[Backend] = []
        for position, ref in enumerate(route.spec.rules[index].backend_refs):
            backend = self._backends.resolve(RefPlace(gateway, route, index, position, ref, costs))
            if backend is None or ref.weight == 0:
                continue
            backends.append(backend)
            rank = (ref.priority, backend.is_fallback)
            members.setdefault(rank, []).append(Member(backend.name, ref.weight))
        groups = tuple(BackendGroup(tuple(members[rank])) for rank in sorted(members))
        return groups, tuple(backends)

    def _costs(self, route: AIGatewayRoute) -> tuple[Cost, ...]:
        """Costs of a route; the last entry of a key wins, entries that cannot work are named."""
        known: set[str] = set()
        for position, written in enumerate(route.spec.llm_request_costs):
            path = f"spec.llmRequestCosts[{position}]"
            faults = list(cost_faults(written, path))
            self._report.faults(route.id, faults)
            if faults:
                continue
            key = written.metadata_key
            if key in known:
                message = f"replaces the earlier cost of the key {key}"
                self._report.warning(route.id, Code.CONFLICT, f"{path}.metadataKey", message)
            if written.type != "CEL" and written.cel is not None:
                message = f"has no effect for the type {written.type}"
                self._report.warning(route.id, Code.NO_EFFECT, f"{path}.cel", message)
            known.add(key)
        return costs_of(route.spec.llm_request_costs)

    def _matches(self, route: AIGatewayRoute, index: int) -> tuple[tuple[HeaderMatch, ...], ...]:
        """Header conditions; a match with a broken expression is left out."""
        written = route.spec.rules[index]
        if not written.matches:
            return ((),)
        result: list[tuple[HeaderMatch, ...]] = []
        for position, match in enumerate(written.matches):
            path = f"spec.rules[{index}].matches[{position}]"
            self._report_unseen(route, match, path)
            if self._has_valid_expressions(route, match, path):
                result.append(tuple(_header_match(header) for header in match.headers))
        return tuple(result)

    def _report_unseen(
        self, route: AIGatewayRoute, match: AIGatewayRouteRuleMatch, path: str
    ) -> None:
        """Names conditions on headers that are taken off before a route is chosen."""
        for position, header in enumerate(match.headers):
            name = header.name.lower()
            if name in self._unseen or is_unseen(name):
                message = f"the header {header.name} is taken off before; nothing matches this"
                place = f"{path}.headers[{position}].name"
                self._report.warning(route.id, Code.NO_EFFECT, place, message)

    def _has_valid_expressions(
        self, route: AIGatewayRoute, match: AIGatewayRouteRuleMatch, path: str
    ) -> bool:
        bad = [
            position
            for position, header in enumerate(match.headers)
            if header.type == "RegularExpression" and not is_regular_expression(header.value)
        ]
        for position in bad:
            place = f"{path}.headers[{position}].value"
            message = "is not a valid RE2 expression; this match is left out"
            self._report.error(route.id, Code.INVALID_FIELD, place, message)
        return not bad


def _header_match(header: HTTPHeaderMatch) -> HeaderMatch:
    return HeaderMatch(header.name.lower(), header.value, MatchType(header.type))
