"""The compiler's entrance: resources to a plan, again and again.

A route is compiled by itself against its surroundings (`surroundings`, `served`), and again when
it is another object. What depends on several routes is made of the results: which of them a
security policy keeps from a listener (`security.admission`), virtual hosts (`virtual_hosts`), and
the plan (`assembly`). Any other change compiles everything.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.load import Loaded
from aigw.api.model import Resource
from aigw.compile.assembly import Assembly
from aigw.compile.kept import Kept
from aigw.compile.security.admission import Admission
from aigw.compile.served import Refusals, Served, Standing, served, standing
from aigw.compile.site import Site
from aigw.compile.surroundings import Here, Surroundings
from aigw.compile.targets import report_selects_nothing
from aigw.errors import Code, Diagnostic, ResourceId, Severity
from aigw.plan import EndpointPrefixes, Plan

if TYPE_CHECKING:
    from aigw.api.http_route import HTTPRoute
    from aigw.compile.http.routes import PlainServed

_DEFAULT_PREFIXES = EndpointPrefixes()


@dataclass(frozen=True, slots=True)
class Compiled:
    """The plan, or None when there is nothing to serve, and all findings, loading included."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Findings because of which something is not served."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


def compile_plan(
    loaded: Loaded,
    loaded_at: int = 0,
    prefixes: EndpointPrefixes = _DEFAULT_PREFIXES,
    variables: Mapping[str, str] | None = None,
    missing_extras: Collection[str] = (),
) -> Compiled:
    """Compiles everything that was loaded, for all Gateways. Never raises for user input.

    The result does not depend on the order of documents. `loaded_at` (Unix seconds) dates the
    models of routes that carry no time of their own. `prefixes` are where clients find the
    endpoints, `variables` those of the environment, which may name proxies, `missing_extras` those
    of this package whose libraries are not here.
    """
    return Compiler(loaded_at, prefixes, variables, missing_extras).compile(loaded)


class Compiler:
    """Compiles what was loaded; resources that are the same objects as the last time are known.

    The result equals that of a new compiler.
    """

    def __init__(
        self,
        loaded_at: int = 0,
        prefixes: EndpointPrefixes = _DEFAULT_PREFIXES,
        variables: Mapping[str, str] | None = None,
        missing_extras: Collection[str] = (),
        site: Site = Site.MACHINE,
    ) -> None:
        """As `compile_plan`, for a machine or a cluster."""
        self._here = Here(variables or {}, missing_extras, site)
        self._loaded_at = loaded_at
        self._prefixes = prefixes
        self._last: _Routes | None = None

    def compile(self, loaded: Loaded) -> Compiled:
        """As `compile_plan`."""
        found = _split(loaded.resources)
        last = self._last
        if last is None or not last.around.is_made_of(found.others, loaded.rejected):
            around = Surroundings(found.others, loaded.rejected, self._prefixes, self._here)
            last = self._last = _Routes(around, self._loaded_at)
        plan, findings = last.compile(found)
        placed = (
            item.at(loaded.origins.get(item.resource) if item.resource else None)
            for item in findings
        )
        return Compiled(plan, (*loaded.diagnostics, *placed))


@dataclass(frozen=True, slots=True)
class _Found:
    """What was loaded: routes, plain routes, and all others."""

    routes: "list[AIGatewayRoute]"
    plain: "list[HTTPRoute]"
    others: list[Resource]


def _split(resources: Iterable[Resource]) -> _Found:
    found = _Found([], [], [])
    kinds: dict[type[Resource], list[Any]] = {AIGatewayRoute: found.routes}
    for resource in resources:
        kind = type(resource)
        if kind not in kinds:
            # The model of plain routes is imported when there is one.
            is_plain = (kind.GROUP, kind.KIND) == (Gateway.GROUP, "HTTPRoute")
            kinds[kind] = found.plain if is_plain else found.others
        kinds[kind].append(resource)
    return found


class _Routes:
    """All routes in their surroundings."""

    def __init__(self, around: Surroundings, loaded_at: int) -> None:
        self.around = around
        self._loaded_at = loaded_at
        self._admission = Admission()
        self._assembly = Assembly(around)
        self._routes = Kept(around.report, self._standing, self._route)
        self._plain = Kept(around.report, lambda _: None, self._plain_route)

    def compile(self, found: _Found) -> tuple[Plan | None, Iterable[Diagnostic]]:
        """The plan, and what is found in it, each finding once."""
        around = self.around
        self._routes.update(found.routes)
        self._plain.update(found.plain)
        targets = around.report.noting(self._check_targets)
        findings = dict.fromkeys((*around.before, *targets.findings))
        if not around.gateways:
            return None, findings
        routes = self._routes.results(self._refusals(), findings)
        plain = self._plain.results(self._namesakes(), findings)
        served_plain = [item for item in plain if item]
        plan = around.report.noting(lambda: self._assembly.plan(routes, served_plain))
        findings |= dict.fromkeys((*plan.findings, *around.after))
        return plan.value, findings

    def _check_targets(self) -> None:
        around = self.around
        around.check_absent(self._routes.names, self._plain.names)
        if selections := around.policies.applied.selections():
            chosen = set[int]().union(*[known.standing.value.selections for known in self._routes])
            for number, (policy, path) in selections.items():
                if number not in chosen:
                    report_selects_nothing(policy, path, "HTTPRoute", around.report)

    def _refusals(self) -> Iterable[Refusals]:
        """What is against each route."""
        if not self.around.security.applied.is_used:
            return repeat({}, len(self._routes))
        routes = [known.id for known in self._routes]
        claims = [known.standing.value.claims for known in self._routes]
        refused = self._admission.refused(routes, claims)
        if not refused:
            return repeat({}, len(claims))
        return ({claim: refused[claim] for claim in made if claim in refused} for made in claims)

    def _namesakes(self) -> Iterator[ResourceId | None]:
        """The route of ours, if any, that has the name of each plain one."""
        for known in self._plain:
            same = ResourceId(AIGatewayRoute.GROUP, AIGatewayRoute.KIND, *known.name)
            is_written = known.name in self._routes.names or self.around.index.is_written(same)
            yield same if is_written else None

    def _standing(self, route: AIGatewayRoute) -> Standing:
        return standing(route, self.around)

    def _route(self, route: AIGatewayRoute, stands: Standing, refused: Refusals) -> Served:
        return served(route, stands, refused, self.around, self._loaded_at)

    def _plain_route(
        self, route: "HTTPRoute", _: None, namesake: ResourceId | None
    ) -> "PlainServed | None":
        around = self.around
        if namesake is None:
            around.check_plain(route)
            return around.plain_routes.compile(route, around.attachments.of(route))
        message = f"is left out, because its name belongs to what {namesake} generates"
        around.report.error(route.id, Code.CONFLICT, "metadata.name", message)
        return None
