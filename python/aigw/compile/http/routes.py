"""HTTPRoutes to rules and matches, and which of them a listener tries first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.backend_traffic_policy import BackendTrafficPolicy
from aigw.api.fields import duration_ms
from aigw.api.gateway import Gateway
from aigw.api.http_route import HTTPPathMatch, HTTPRoute, HTTPRouteMatch, HTTPRouteRule
from aigw.compile.expressions import is_regular_expression
from aigw.compile.guards import unenforced
from aigw.compile.hosts import covers, specificity
from aigw.compile.http.backends import Attached, HttpBackends
from aigw.compile.http.filters import HttpFilters, Steps
from aigw.compile.index import Index
from aigw.compile.listeners import Entrance
from aigw.compile.ports import Ports
from aigw.compile.report import Report
from aigw.compile.security.policies import SecurityPolicies
from aigw.compile.support import Support
from aigw.errors import Code, ResourceId
from aigw.plan import HeaderMatch, Listener, MatchType, Port, Rule, VirtualHost
from aigw.plan.http import (
    Forward,
    HttpBackend,
    HttpMatch,
    HttpRetry,
    HttpRule,
    PathMatch,
    PathType,
    QueryMatch,
    Share,
)

_UNSEEN_PREFIXES = ("x-ai-eg-", "x-envoy-", "x-gateway-destination-endpoint")
_RANK = {PathType.EXACT: 2, PathType.REGULAR_EXPRESSION: 1, PathType.PREFIX: 0}
_EVERY_PATH = PathMatch(PathType.PREFIX, "")
_Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Written:
    """Where a match stands."""

    route: ResourceId
    path: str


class HttpRoutes:
    """Collects what plain routes add to the plan."""

    def __init__(
        self,
        index: Index,
        report: Report,
        backends: HttpBackends,
        support: Support,
        security: SecurityPolicies,
    ) -> None:
        """Nothing is served yet."""
        self._index = index
        self._report = report
        self._support = support
        self._security = security
        self._backends = backends
        self._filters = HttpFilters(index, report, self._backends)
        self._entries: dict[_Key, list[tuple[str, HttpMatch]]] = {}
        self._written: dict[HttpMatch, _Written] = {}
        self.rules: dict[str, HttpRule] = {}

    @property
    def backends(self) -> dict[str, HttpBackend]:
        """Backends in use."""
        return self._backends.found

    def all(self) -> list[HTTPRoute]:
        """Routes that can be served, oldest first."""
        found: list[HTTPRoute] = []
        for route in self._index.all(HTTPRoute):
            same = replace(route.id, group=AIGatewayRoute.GROUP, kind=AIGatewayRoute.KIND)
            if self._index.is_written(same):
                message = f"is left out, because its name belongs to what {same} generates"
                self._report.error(route.id, Code.CONFLICT, "metadata.name", message)
            else:
                self._report_policies(route)
                found.append(route)
        return found

    def _report_policies(self, route: HTTPRoute) -> None:
        """Traffic policies are for routes of the API."""
        for policy in self._index.all(BackendTrafficPolicy):
            for position, ref in enumerate(policy.spec.targets):
                target = ResourceId(ref.group, ref.kind, policy.namespace, ref.name)
                if target == route.id:
                    message = (
                        "a plain HTTPRoute is not supported as a target, only an AIGatewayRoute"
                    )
                    path = f"spec.targetRefs[{position}]"
                    self._report.error(policy.id, Code.UNSUPPORTED, path, message)

    def add(
        self, gateway: Gateway, route: HTTPRoute, entrances: Sequence[Entrance], ports: Ports
    ) -> None:
        """Serves a route on listeners of one Gateway."""
        limits = unenforced(route, gateway, self._index)
        place = Attached(gateway, route)
        rules = [self._rule(place, index) for index in range(len(route.spec.rules))]
        withheld = [replace(x, id=f"{x.id}/withheld", action=Forward(())) for x in rules]
        for entrance in entrances:
            verdict = self._security.of_route(entrance, route)
            guard = limits or verdict.guard
            if guard is not None:
                message = f"is not served, because {guard} protects it and cannot be enforced"
                self._report.error(route.id, Code.LEFT_OUT, "", message)
            served = [self._distinct(gateway, x) for x in (withheld if guard else rules)]
            matches = [
                replace(match, security=verdict.key)
                for index, rule in enumerate(served)
                for match in self._matches(route, index, rule.id)
            ]
            entries = self._entries.setdefault(ports.key(entrance), [])
            for hostname in ports.add_hosts(entrance, route.spec.hostnames):
                entries.extend((hostname, match) for match in matches)

    def _distinct(self, gateway: Gateway, rule: HttpRule) -> HttpRule:
        """Keeps a rule; under another id, where another Gateway has it with other settings."""
        if self.rules.setdefault(rule.id, rule) != rule:
            rule = replace(rule, id=f"{rule.id}@{gateway.id.path}")
            self.rules[rule.id] = rule
        return rule

    def _rule(self, at: Attached, index: int) -> HttpRule:
        route = at.route
        written, path = route.spec.rules[index], f"spec.rules[{index}]"
        rule = HttpRule(f"{route.id.path}/http/{index}", route.id.path, Forward(()))
        steps = self._filters.read(at, written.filters, path)
        if steps is None:
            message = "has a filter that cannot be applied; its requests are answered with 500"
            self._report.warning(route.id, Code.NO_EFFECT, path, message)
            return rule
        return replace(
            rule,
            action=steps.direct or steps.redirect or self._forward(at, written, steps, path),
            request_headers=steps.request_headers,
            response_headers=steps.response_headers,
        )

    def _forward(self, at: Attached, written: HTTPRouteRule, steps: Steps, path: str) -> Forward:
        shares: list[Share] = []
        for position, ref in enumerate(written.backend_refs):
            backend = self._backends.resolve(at, ref, f"{path}.backendRefs[{position}]")
            if backend is not None and ref.weight:
                shares.append(Share(backend.name, ref.weight))
        if not shares:
            message = "has no usable backend; its requests are answered with 500"
            self._report.warning(at.route.id, Code.NO_EFFECT, path, message)
        limits = written.timeouts
        return Forward(
            tuple(shares),
            steps.host,
            steps.path,
            tuple(steps.mirrors),
            request_ms=duration_ms(limits.request) if limits and limits.request else 0,
            attempt_ms=(
                duration_ms(limits.backend_request) if limits and limits.backend_request else 0
            ),
            retry=_retry(written),
        )

    def _matches(self, route: HTTPRoute, index: int, rule: str) -> list[HttpMatch]:
        """Matches of a rule; one with a broken expression is left out."""
        found: list[HttpMatch] = []
        for position, written in enumerate(route.spec.rules[index].matches or [HTTPRouteMatch()]):
            path = f"spec.rules[{index}].matches[{position}]"
            broken = _broken_expressions(written)
            for place in broken:
                message = "is not a valid RE2 expression; this match is left out"
                self._report.error(route.id, Code.INVALID_FIELD, f"{path}.{place}", message)
            self._report_unseen(route, written, path)
            if not broken:
                match = _match(written, rule)
                self._written.setdefault(match, _Written(route.id, path))
                found.append(match)
        return found

    def _report_unseen(self, route: HTTPRoute, written: HTTPRouteMatch, path: str) -> None:
        for position, header in enumerate(written.headers):
            if header.name.lower().startswith(_UNSEEN_PREFIXES):
                message = f"the header {header.name} is taken off before; nothing matches this"
                place = f"{path}.headers[{position}].name"
                self._report.warning(route.id, Code.NO_EFFECT, place, message)

    def served(self, ports: Iterable[Port], rules: dict[str, Rule]) -> tuple[Port, ...]:
        """The ports with plain routes, and a word about those that never get a request."""
        return tuple(
            replace(port, listeners=tuple(self._listener(port, x, rules) for x in port.listeners))
            for port in ports
        )

    def _listener(self, port: Port, listener: Listener, rules: dict[str, Rule]) -> Listener:
        entries = self._entries.get((port.number, listener.server_name))
        if not entries:
            return listener
        # Nobody knows which hosts a route with errors is for: prompts must not go astray.
        is_unsure = self._index.has_rejected(AIGatewayRoute)
        hosts: list[VirtualHost] = []
        for host in listener.virtual_hosts:
            matches = in_order([item for item in entries if covers(item[0], host.hostname)])
            if host.matches:
                self._report_shadowed(matches, rules[host.matches[0].rule].route)
            api_paths = self._support.paths if host.matches or is_unsure else ()
            hosts.append(replace(host, http=matches, api_paths=api_paths))
        return replace(listener, virtual_hosts=tuple(hosts))

    def _report_shadowed(self, matches: Iterable[HttpMatch], ai_route: str) -> None:
        """Names matches for paths of the API where a route of ours has the same host.

        A match for every path is the usual companion of one, and means the others.
        """
        for match in matches:
            taken = [path for path in self._support.paths if _takes(match.path, path)]
            if not taken or match.path == _EVERY_PATH:
                continue
            at = self._written[replace(match, security="")]
            more = f" and {len(taken) - 1} more paths" if len(taken) > 1 else ""
            message = (
                f"does not get requests for {taken[0]}{more} of the API, which go to "
                f"AIGatewayRoute {ai_route}"
            )
            self._report.warning(at.route, Code.NO_EFFECT, f"{at.path}.path", message)


def in_order(entries: Iterable[tuple[str, HttpMatch]]) -> tuple[HttpMatch, ...]:
    """Matches in the order in which they are tried: more specific ones first.

    That is: host name, kind of path condition and its length, method, number of header and of
    query conditions, and then the order of routes, by age, and their rules.
    """
    ranked = sorted(
        entries, key=lambda entry: (specificity(entry[0]), _rank(entry[1])), reverse=True
    )
    return tuple(dict.fromkeys(match for _, match in ranked))


def _rank(match: HttpMatch) -> tuple[int, int, bool, int, int]:
    path = match.path
    length = len(path.value)
    return (_RANK[path.type], length, bool(match.method), len(match.headers), len(match.query))


def _takes(match: PathMatch, path: str) -> bool:
    """Whether a match is for a path; of expressions that is not known."""
    if match.type is PathType.EXACT:
        return path == match.value
    return match.type is PathType.PREFIX and f"{path}/".startswith(f"{match.value}/")


def _match(written: HTTPRouteMatch, rule: str) -> HttpMatch:
    return HttpMatch(
        _path(written.path),
        rule,
        written.method or "",
        tuple(HeaderMatch(x.name.lower(), x.value, MatchType(x.type)) for x in written.headers),
        tuple(QueryMatch(x.name, x.value, MatchType(x.type)) for x in written.query_params),
    )


def _path(written: HTTPPathMatch) -> PathMatch:
    kind = PathType(written.type)
    value = written.value.rstrip("/") if kind is PathType.PREFIX else written.value
    return PathMatch(kind, value)


def _broken_expressions(written: HTTPRouteMatch) -> list[str]:
    """Places of expressions that RE2 does not accept."""
    found = [("path.value", written.path.type, written.path.value)]
    found += [(f"headers[{i}].value", x.type, x.value) for i, x in enumerate(written.headers)]
    params = enumerate(written.query_params)
    found += [(f"queryParams[{i}].value", x.type, x.value) for i, x in params]
    return [
        place
        for place, kind, value in found
        if kind == "RegularExpression" and not is_regular_expression(value)
    ]


def _retry(written: HTTPRouteRule) -> HttpRetry | None:
    if written.retry is None:
        return None
    attempts = 1 if written.retry.attempts is None else written.retry.attempts
    back_off = duration_ms(written.retry.backoff) if written.retry.backoff else 25
    return HttpRetry(attempts, tuple(written.retry.codes), max(back_off, 1))
