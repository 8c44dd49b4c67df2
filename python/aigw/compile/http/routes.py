"""HTTPRoutes to rules and matches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aigw.api.fields import duration_ms
from aigw.api.gateway import Gateway
from aigw.api.http_route import HTTPPathMatch, HTTPRoute, HTTPRouteMatch, HTTPRouteRule
from aigw.compile.expressions import is_regular_expression
from aigw.compile.guards import unenforced
from aigw.compile.hosts import common_hosts
from aigw.compile.http.backends import Attached, HttpBackends
from aigw.compile.http.filters import HttpFilters, Steps
from aigw.compile.http.matches import PlainMounted
from aigw.compile.index import Index
from aigw.compile.listeners import Attachment, Entrance
from aigw.compile.ports import listener_key
from aigw.compile.report import Report
from aigw.compile.security.policies import SecurityPolicies
from aigw.errors import Code
from aigw.plan import HeaderMatch, MatchType
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


@dataclass(frozen=True, slots=True)
class PlainServed:
    """What a route adds to the plan."""

    rules: Mapping[str, HttpRule]
    backends: Mapping[str, HttpBackend]
    mounted: tuple[PlainMounted, ...]


class HttpRoutes:
    """Compiles plain routes; what one becomes does not depend on the others."""

    def __init__(
        self, index: Index, report: Report, backends: HttpBackends, security: SecurityPolicies
    ) -> None:
        """Reads nothing yet."""
        self._index = index
        self._report = report
        self._security = security
        self._backends = backends
        self._filters = HttpFilters(index, report, self._backends)

    def compile(self, route: HTTPRoute, attached: Attachment) -> PlainServed:
        """Serves a route on its listeners."""
        rules: dict[str, HttpRule] = {}
        backends: dict[str, HttpBackend] = {}
        mounted: list[PlainMounted] = []
        for gateway, entrances in attached:
            limits = unenforced(route, gateway, self._index)
            place = Attached(gateway, route, backends)
            compiled = [self._rule(place, index) for index in range(len(route.spec.rules))]
            for entrance in entrances:
                verdict = self._security.of_route(entrance, route)
                served = compiled
                if guard := limits or verdict.guard:
                    message = f"is not served, because {guard} protects it and cannot be enforced"
                    self._report.error(route.id, Code.LEFT_OUT, "", message)
                    served = [_withheld(rule) for rule in compiled]
                served = [_distinct(gateway, rule, rules) for rule in served]
                mounted += self._mounted(entrance, route, served, verdict.key)
        return PlainServed(rules, backends, tuple(mounted))

    def _mounted(
        self, entrance: Entrance, route: HTTPRoute, rules: Sequence[HttpRule], security: str
    ) -> Iterator[PlainMounted]:
        matches: dict[HttpMatch, str] = {}
        for index, rule in enumerate(rules):
            for path, match in self._matches(route, index, rule.id):
                matches.setdefault(replace(match, security=security), path)
        for hostname in common_hosts(entrance.listener.hostname, route.spec.hostnames):
            yield PlainMounted(listener_key(entrance), hostname, route.id, matches)

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

    def _matches(self, route: HTTPRoute, index: int, rule: str) -> Iterator[tuple[str, HttpMatch]]:
        """Matches of a rule and where they stand; one with a broken expression is left out."""
        for position, written in enumerate(route.spec.rules[index].matches or [HTTPRouteMatch()]):
            path = f"spec.rules[{index}].matches[{position}]"
            broken = _broken_expressions(written)
            for place in broken:
                message = "is not a valid RE2 expression; this match is left out"
                self._report.error(route.id, Code.INVALID_FIELD, f"{path}.{place}", message)
            self._report_unseen(route, written, path)
            if not broken:
                yield path, _match(written, rule)

    def _report_unseen(self, route: HTTPRoute, written: HTTPRouteMatch, path: str) -> None:
        for position, header in enumerate(written.headers):
            if header.name.lower().startswith(_UNSEEN_PREFIXES):
                message = f"the header {header.name} is taken off before; nothing matches this"
                place = f"{path}.headers[{position}].name"
                self._report.warning(route.id, Code.NO_EFFECT, place, message)


def _withheld(rule: HttpRule) -> HttpRule:
    return replace(rule, id=f"{rule.id}/withheld", action=Forward(()))


def _distinct(gateway: Gateway, rule: HttpRule, rules: dict[str, HttpRule]) -> HttpRule:
    """Keeps a rule; under another id, where another Gateway has it with other settings."""
    if rules.setdefault(rule.id, rule) != rule:
        rule = replace(rule, id=f"{rule.id}@{gateway.id.path}")
        rules[rule.id] = rule
    return rule


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
