"""Everything that follows from the objects of the cluster at one moment. Pure."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.ai_service_backend import AIServiceBackend
from aigw.api.reference_grant import ReferenceGrant
from aigw.compile.compiler import Compiler
from aigw.compile.grants import Grants, Referrer
from aigw.compile.index import Index
from aigw.compile.site import Site
from aigw.controller import conditions
from aigw.controller.conditions import Acceptance, Condition
from aigw.controller.kinds import OWN_GROUP
from aigw.controller.objects import Held, Objects
from aigw.controller.shares import Share, shares_of
from aigw.errors import Code, Diagnostic, ResourceId, Severity
from aigw.plan import EndpointPrefixes, Plan
from aigw.render.kubernetes import Surroundings, http_route, route_filters

Json = dict[str, Any]

XDS_HASH = "gateway.envoyproxy.io/aigw-xds-hash"
"""Envoy Gateway does not watch our kinds: it translates again when this annotation changes."""


@dataclass(frozen=True, slots=True)
class Generated:
    """An object that the controller writes, and the one that owns it."""

    owner: ResourceId
    content: Json


@dataclass(frozen=True, slots=True)
class View:
    """What is to be written, and what data planes get.

    `generated` are objects beside the routes, `conditions` those of our kinds without `Programmed`,
    `shares` the parts of the plan by Gateway (`<ns>/<name>`), `hashes` those of all that a route
    (`<ns>/<name>`) is in the plan.
    """

    plan: Plan | None
    shares: Mapping[str, Share]
    generated: Mapping[ResourceId, Generated] = field(repr=False)
    conditions: Mapping[ResourceId, tuple[Condition, ...]] = field(repr=False)
    hashes: Mapping[str, str] = field(repr=False)


class Viewer:
    """Makes views again and again; what has not changed is not made again.

    The result equals that of a new viewer.
    """

    def __init__(self, prefixes: EndpointPrefixes, loaded_at: int = 0) -> None:
        """`loaded_at` (Unix seconds) dates models of routes without a creation time."""
        self._prefixes = prefixes
        self._compiler = Compiler(loaded_at, prefixes, site=Site.CLUSTER)
        self._rendered: dict[ResourceId, _Rendered] = {}
        self._around: tuple[object, ...] = ()
        self._said: dict[ResourceId, _Said] = {}

    def view(self, objects: Objects) -> View:
        """The view of all objects."""
        loaded = objects.loaded()
        compiled = self._compiler.compile(loaded)
        findings: dict[ResourceId, list[Diagnostic]] = {}
        for item in compiled.diagnostics:
            if item.resource is not None and item.resource.group == OWN_GROUP:
                findings.setdefault(item.resource, []).append(item)
        served = _served_routes(compiled.plan)
        generated = self._generated(Index.of(loaded), compiled.plan)
        return View(
            plan=compiled.plan,
            shares=shares_of(compiled.plan) if compiled.plan else {},
            generated=generated,
            conditions=self._conditions(objects, findings, served),
            hashes={name.path: item.hash for name, item in self._rendered.items()},
        )

    def _conditions(
        self,
        objects: Objects,
        findings: Mapping[ResourceId, list[Diagnostic]],
        served: frozenset[str],
    ) -> Mapping[ResourceId, tuple[Condition, ...]]:
        before, self._said = self._said, {}
        for held in objects.of_group(OWN_GROUP):
            if held.is_deleting:
                continue
            found, is_served = findings.get(held.id, []), held.id.path in served
            last = before.get(held.id)
            if last is None or (last.findings, last.is_served) != (found, is_served):
                last = _Said(found, is_served, _conditions(held, found, served))
            self._said[held.id] = last
        return {identity: said.conditions for identity, said in self._said.items()}

    def _generated(self, index: Index, plan: Plan | None) -> Mapping[ResourceId, Generated]:
        grants = Grants(index)
        around = Surroundings(
            backend=lambda namespace, name: index.get(AIServiceBackend, namespace, name),
            permits=lambda route, target: grants.allow(Referrer.of(route), target),
        )
        parts = _parts(plan)
        root = self._prefixes.path("")
        before, self._rendered = self._rendered, {}
        # All that references of routes lead to, and what permits them.
        last_around, self._around = self._around, _targets(index)
        is_same_around = _are_same(last_around, self._around)
        found: dict[ResourceId, Generated] = {}
        for route in index.all(AIGatewayRoute):
            identity = route.id
            own = (route, *parts.get(identity.path, ()))
            last = before.get(identity)
            references = (
                last.references if last and is_same_around and last.own[0] is route else None
            )
            if references is None:
                references = tuple(_references(route, around))
            if last is None or not last.is_of(own, references):
                digest = _hash(own[1:])
                written = tuple(_objects_of(route, around, root, digest))
                last = _Rendered(own, references, digest, written)
            self._rendered[identity] = last
            found.update(last.objects)
        return found


@dataclass(frozen=True, slots=True)
class _Said:
    """Conditions of an object, and all that they were made from."""

    findings: list[Diagnostic]
    is_served: bool
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Objects of a route, and all that they were made from."""

    own: tuple[object, ...]
    references: tuple[object, ...]
    hash: str
    objects: tuple[tuple[ResourceId, Generated], ...]

    def is_of(self, own: tuple[object, ...], references: tuple[object, ...]) -> bool:
        """Whether these are the same things, most of them the very same objects."""
        are_same = references is self.references or _are_same(references, self.references)
        return are_same and _are_same(own, self.own)


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(_is_same, some, others))


def _is_same(one: object, other: object) -> bool:
    return one is other or one == other


def _targets(index: Index) -> tuple[object, ...]:
    return (*index.all(AIServiceBackend), *index.all(ReferenceGrant))


def _parts(plan: Plan | None) -> Mapping[str, list[object]]:
    """By route all that the plan has of it: rules, backends, and where it stands."""
    parts: dict[str, list[object]] = {}
    if plan is None:
        return parts
    for rule in plan.rules.values():
        own = parts.setdefault(rule.route, [])
        own.append(rule)
        own += (plan.backends[member.backend] for group in rule.groups for member in group.members)
    for port in plan.ports:
        for listener in port.listeners:
            for host in listener.virtual_hosts:
                for match in host.matches:
                    place = (listener.name, host.hostname, match)
                    parts[plan.rules[match.rule].route].append(place)
    return parts


def _hash(parts: Sequence[object]) -> str:
    """Their texts have all but secrets."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _references(route: AIGatewayRoute, around: Surroundings) -> Iterator[object]:
    for rule in route.spec.rules:
        for ref in rule.backend_refs:
            namespace = ref.namespace or route.namespace
            kind = ref.kind or AIServiceBackend.KIND
            target = ResourceId(ref.group or OWN_GROUP, kind, namespace, ref.name)
            yield around.permits(route, target)
            yield around.backend(namespace, ref.name)


def _objects_of(
    route: AIGatewayRoute, around: Surroundings, root: str, digest: str
) -> Iterator[tuple[ResourceId, Generated]]:
    http = http_route(route, around, root)
    http["metadata"]["annotations"][XDS_HASH] = digest
    for content in (http, *route_filters(route)):
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
