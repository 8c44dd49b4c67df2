"""Everything that follows from the objects of the cluster at one moment. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.ai_service_backend import AIServiceBackend
from aigw.compile.compiler import Compiler
from aigw.compile.grants import Grants, Referrer
from aigw.compile.index import Index
from aigw.controller import conditions
from aigw.controller.conditions import Acceptance, Condition
from aigw.controller.kinds import OWN_GROUP
from aigw.controller.objects import Held, Objects
from aigw.controller.shares import Share, shares_of
from aigw.errors import Code, Diagnostic, ResourceId, Severity
from aigw.plan import EndpointPrefixes, Plan
from aigw.render.kubernetes import Surroundings, http_route, route_filters

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Generated:
    """An object that the controller writes, and the one that owns it."""

    owner: ResourceId
    content: Json


@dataclass(frozen=True, slots=True)
class View:
    """What is to be written, and what data planes get.

    `generated` are objects beside the routes, `conditions` those of our kinds without `Programmed`,
    `shares` the parts of the plan by Gateway (`<ns>/<name>`).
    """

    plan: Plan | None
    shares: Mapping[str, Share]
    generated: Mapping[ResourceId, Generated] = field(repr=False)
    conditions: Mapping[ResourceId, tuple[Condition, ...]] = field(repr=False)


class Viewer:
    """Makes views again and again; what has not changed is not made again.

    The result equals that of a new viewer.
    """

    def __init__(self, prefixes: EndpointPrefixes, loaded_at: int = 0) -> None:
        """`loaded_at` (Unix seconds) dates models of routes without a creation time."""
        self._prefixes = prefixes
        self._compiler = Compiler(loaded_at, prefixes)
        self._rendered: dict[ResourceId, _Rendered] = {}

    def view(self, objects: Objects) -> View:
        """The view of all objects."""
        loaded = objects.loaded()
        compiled = self._compiler.compile(loaded)
        findings: dict[ResourceId, list[Diagnostic]] = {}
        for item in compiled.diagnostics:
            if item.resource is not None and item.resource.group == OWN_GROUP:
                findings.setdefault(item.resource, []).append(item)
        served = _served_routes(compiled.plan)
        return View(
            plan=compiled.plan,
            shares=shares_of(compiled.plan) if compiled.plan else {},
            generated=self._generated(Index.of(loaded)),
            conditions={
                held.id: _conditions(held, findings.get(held.id, ()), served)
                for held in objects.all()
                if held.id.group == OWN_GROUP and not held.is_deleting
            },
        )

    def _generated(self, index: Index) -> Mapping[ResourceId, Generated]:
        grants = Grants(index)
        around = Surroundings(
            backend=lambda namespace, name: index.get(AIServiceBackend, namespace, name),
            permits=lambda route, target: grants.allow(Referrer.of(route), target),
        )
        root = self._prefixes.path("")
        before, self._rendered = self._rendered, {}
        found: dict[ResourceId, Generated] = {}
        for route in index.all(AIGatewayRoute):
            basis = (route, *_basis(route, around))
            last = before.get(route.id)
            if last is None or not last.is_of(basis):
                last = _Rendered(basis, tuple(_objects_of(route, around, root)))
            self._rendered[route.id] = last
            found.update(last.objects)
        return found


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Objects of a route, and all that they were made from."""

    basis: tuple[object, ...]
    objects: tuple[tuple[ResourceId, Generated], ...]

    def is_of(self, basis: tuple[object, ...]) -> bool:
        """Whether these are the very same things."""
        return len(basis) == len(self.basis) and all(map(_is_same, basis, self.basis))


def _is_same(one: object, other: object) -> bool:
    return one is other


def _basis(route: AIGatewayRoute, around: Surroundings) -> Iterator[object]:
    for rule in route.spec.rules:
        for ref in rule.backend_refs:
            namespace = ref.namespace or route.namespace
            kind = ref.kind or AIServiceBackend.KIND
            target = ResourceId(ref.group or OWN_GROUP, kind, namespace, ref.name)
            yield around.permits(route, target)
            yield around.backend(namespace, ref.name)


def _objects_of(
    route: AIGatewayRoute, around: Surroundings, root: str
) -> Iterator[tuple[ResourceId, Generated]]:
    objects: Iterable[Json] = (http_route(route, around, root), *route_filters(route))
    for content in objects:
        group = content["apiVersion"].rpartition("/")[0]
        metadata = content["metadata"]
        identity = ResourceId(group, content["kind"], metadata["namespace"], metadata["name"])
        yield identity, Generated(route.id, content)


def _served_routes(plan: Plan | None) -> frozenset[str]:
    rules = plan.rules.values() if plan else ()
    return frozenset(rule.route for rule in rules if rule.groups)


def _conditions(
    held: Held, findings: Collection[Diagnostic], served: frozenset[str]
) -> tuple[Condition, ...]:
    faults = conditions.faults_of(findings)
    kind = held.id.kind
    if kind != AIGatewayRoute.KIND:
        acceptance = Acceptance.NONE if faults else Acceptance.ALL
        return (conditions.accepted(kind, acceptance, faults),)
    acceptance = Acceptance.PART if faults else Acceptance.ALL
    if held.id.path not in served:
        acceptance = Acceptance.NONE
        faults = faults or [*findings] or [_without_gateway(held.id)]
    return (
        conditions.resolved_refs(faults),
        conditions.accepted(kind, acceptance, faults),
    )


def _without_gateway(route: ResourceId) -> Diagnostic:
    message = "no Gateway serves this route"
    return Diagnostic(Code.NOT_FOUND, Severity.ERROR, message, route, "spec.parentRefs")
