"""The loop: events change the cache, the cache gives a view, differences become work."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from aigw.api.parse import identify
from aigw.controller import conditions
from aigw.controller.api import Api, ApiError
from aigw.controller.conditions import Condition
from aigw.controller.generated import complete, controller_of, is_in_place
from aigw.controller.kinds import FINALIZER, GENERATED, HELD_BY_US, READ, Kind, kind_of
from aigw.controller.lease import Lease
from aigw.controller.objects import OWN_GROUP, Objects
from aigw.controller.view import View, Viewer
from aigw.controller.watch import watch
from aigw.controller.work import Again, Work
from aigw.errors import Code, Diagnostic, ResourceId, Severity
from aigw.plan import EndpointPrefixes

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_WORKERS = 8
_RESYNC_SECONDS = 300.0
_RETRY_SECONDS = 2.0
_FOREIGN_SECONDS = 60.0


class Step(Enum):
    """What can be done for an object."""

    OBJECT = auto()
    """Write it, or delete it."""
    STATUS = auto()
    FINALIZER = auto()


@dataclass(frozen=True, slots=True)
class Task:
    """A key of the work: it says what to look at, not what to do."""

    step: Step
    id: ResourceId


@dataclass(frozen=True, slots=True)
class Options:
    """Whose Lease, and what is watched: all namespaces where none is named."""

    namespace: str
    identity: str
    prefixes: EndpointPrefixes = field(default_factory=EndpointPrefixes)
    watched: tuple[str, ...] = ()


class Controller:
    """Keeps the cluster as the objects of our kinds say."""

    def __init__(
        self,
        api: Api,
        options: Options,
        on_view: Callable[[View], None],
        programmed: Callable[[ResourceId], Condition | None] = lambda _: None,
    ) -> None:
        """`on_view` gets every new view, first of all when everything was seen once.

        `programmed` says what data planes report of a route.
        """
        self._api = api
        self._options = options
        self._on_view = on_view
        self._programmed = programmed
        self._viewer = Viewer(options.prefixes, int(time.time()))
        self._objects = Objects()
        self._live: dict[ResourceId, Json] = {}
        """Objects of the kinds that are generated, whoever made them."""
        self._view: View | None = None
        self._faults: dict[ResourceId, dict[ResourceId, str]] = {}
        """By owner: what could not be written, and why."""
        self._changed = asyncio.Event()
        self._touched: set[ResourceId] = set()
        self._work = Work(self._do, _WORKERS)
        self._lease = Lease(api, options.namespace, options.identity, self._on_lease)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        await self._see_all_at_last()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                watch(self._api, (*READ, *GENERATED), self._options.watched, self._seen)
            )
            group.create_task(self._look())
            group.create_task(self._work.run())
            group.create_task(self._lease.run())
            group.create_task(self._resync())

    # --- what is there ---

    def _seen(self, kind: Kind, document: Json, is_gone: bool) -> None:
        identity = identify(document)
        if identity is None:
            return
        if kind in GENERATED:
            if is_gone:
                self._live.pop(identity, None)
            else:
                self._live[identity] = document
            self._add([Task(Step.OBJECT, identity)])
        elif self._objects.remove(identity) if is_gone else self._objects.put(document):
            self._touched.add(identity)
            self._changed.set()

    async def _see_all_at_last(self) -> None:
        while True:
            try:
                return await self._see_all()
            except ApiError as error:
                logger.warning("cannot read the cluster: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _see_all(self) -> None:
        """Reads everything: what is gone and nobody told of is forgotten."""
        for kind in (*READ, *GENERATED):
            for namespace in self._options.watched or ("",):
                page = await asyncio.to_thread(self._api.list, kind, namespace)
                self._take(kind, namespace, page.items)
        self._changed.set()

    def _take(self, kind: Kind, namespace: str, items: Iterable[Json]) -> None:
        found = {identity: item for item in items if (identity := identify(item))}
        known = self._live if kind in GENERATED else self._objects.ids(kind.group, kind.name)
        for identity in list(known):
            is_of_kind = (identity.group, identity.kind) == (kind.group, kind.name)
            is_here = not namespace or identity.namespace == namespace
            if is_of_kind and is_here and identity not in found:
                self._seen(kind, _named(identity, kind), is_gone=True)
        for item in found.values():
            self._seen(kind, item, is_gone=False)

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(_RESYNC_SECONDS)
            try:
                await self._see_all()
            except ApiError as error:
                logger.warning("cannot read the cluster again: %s", error)

    # --- what follows ---

    async def _look(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            touched, self._touched = self._touched, set()
            objects = self._objects.copy()
            view = await asyncio.to_thread(self._viewer.view, objects)
            before, self._view = self._view, view
            self._on_view(view)
            self._work.add(_differences(before, view, touched))

    def _add(self, tasks: Iterable[Task]) -> None:
        if self._view is not None:
            self._work.add(tasks)

    def _on_lease(self, is_holder: bool) -> None:
        if is_holder and self._view is not None:
            self._add(_differences(None, self._view, set()))

    def report(self, routes: Iterable[ResourceId]) -> None:
        """Data planes have said something new of these routes."""
        self._add(Task(Step.STATUS, route) for route in routes)

    # --- what is done about it ---

    async def _do(self, task: Task) -> Again | None:
        if not self._lease.is_holder or self._view is None:
            return None
        steps = {
            Step.OBJECT: self._write_object,
            Step.STATUS: self._write_status,
            Step.FINALIZER: self._write_finalizer,
        }
        try:
            return await steps[task.step](task.id, self._view)
        except ApiError as error:
            level = logging.INFO if error.status == 409 else logging.WARNING
            logger.log(level, "%s: %s: %s", task.step.name.lower(), task.id, error)
            return Again()

    async def _write_object(self, identity: ResourceId, view: View) -> Again | None:
        generated, live = view.generated.get(identity), self._live.get(identity)
        if generated is None:
            return await self._delete(identity, live)
        owner = self._objects.get(generated.owner)
        if owner is None:
            return None
        wanted = complete(generated, owner)
        if live is not None and controller_of(live) != owner.uid:
            text = f"{identity} exists and is not of this {owner.id.kind}; it is left as it is"
            self._fault(owner.id, identity, text)
            return Again(_FOREIGN_SECONDS)
        if live is None or not is_in_place(wanted, live):
            try:
                written = await asyncio.to_thread(self._api.apply, kind_of(identity), wanted)
            except ApiError as error:
                if error.is_permanent:
                    self._fault(owner.id, identity, f"{identity} cannot be written: {error}")
                raise
            self._live[identity] = written
        self._fault(owner.id, identity, "")
        return None

    async def _delete(self, identity: ResourceId, live: Json | None) -> Again | None:
        """Deletes what was made for an object that stays; the rest is for garbage collection."""
        if live is None or "deletionTimestamp" in live["metadata"]:
            return None
        owners = {held.uid: held for held in self._objects.of_group(OWN_GROUP)}
        owner = owners.get(controller_of(live))
        if owner is None or owner.is_deleting:
            return None
        uid = live["metadata"]["uid"]
        kind = kind_of(identity)
        await asyncio.to_thread(self._api.delete, kind, identity.namespace, identity.name, uid)
        return None

    def _fault(self, owner: ResourceId, identity: ResourceId, text: str) -> None:
        faults = self._faults.setdefault(owner, {})
        if faults.get(identity, "") == text:
            return
        if text:
            faults[identity] = text
        else:
            del faults[identity]
        self._add([Task(Step.STATUS, owner)])

    async def _write_status(self, identity: ResourceId, view: View) -> Again | None:
        held = self._objects.get(identity)
        found = view.conditions.get(identity)
        if held is None or found is None:
            return None
        wanted = self._conditions(identity, found)
        now = datetime.now(UTC)
        status = conditions.status_of(wanted, held.generation, held.status, now)
        if status is None:
            return None
        kind = kind_of(identity)
        patch = {"status": status}
        try:
            written = await asyncio.to_thread(
                self._api.merge, kind, identity.namespace, identity.name, patch, "status"
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        self._objects.put({"kind": kind.name, "apiVersion": kind.api_version, **written})
        return None

    def _conditions(
        self, identity: ResourceId, found: tuple[Condition, ...]
    ) -> tuple[Condition, ...]:
        *before, last = found
        faults = [
            Diagnostic(Code.CONFLICT, Severity.ERROR, text, identity)
            for text in self._faults.get(identity, {}).values()
        ]
        if faults:
            last = conditions.withdrawn(last, faults)
        programmed = self._programmed(identity)
        return (*before, *((programmed,) if programmed else ()), last)

    async def _write_finalizer(self, identity: ResourceId, view: View) -> Again | None:
        held = self._objects.get(identity)
        if held is None:
            return None
        if held.is_deleting:
            # Only when nothing leads to it any more.
            finalizers = [name for name in held.finalizers if name != FINALIZER]
            is_wanted = identity not in view.conditions
        else:
            finalizers = [*held.finalizers, FINALIZER]
            is_wanted = FINALIZER not in held.finalizers
        if not is_wanted or len(finalizers) == len(held.finalizers):
            return None
        metadata = {"finalizers": finalizers, "resourceVersion": held.version}
        kind = kind_of(identity)
        try:
            written = await asyncio.to_thread(
                self._api.merge, kind, identity.namespace, identity.name, {"metadata": metadata}
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        self._seen(kind, {"kind": kind.name, "apiVersion": kind.api_version, **written}, False)
        return None


def _named(identity: ResourceId, kind: Kind) -> Json:
    metadata = {"name": identity.name, "namespace": identity.namespace}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def _differences(before: View | None, view: View, touched: set[ResourceId]) -> list[Task]:
    """What may have to be written: all of it at first."""
    tasks: dict[Task, None] = {}
    known_objects = before.generated if before else {}
    known_conditions = before.conditions if before else {}
    for identity in view.generated.keys() | known_objects.keys():
        if view.generated.get(identity) is not known_objects.get(identity):
            tasks[Task(Step.OBJECT, identity)] = None
    for identity, found in view.conditions.items():
        if found != known_conditions.get(identity):
            tasks[Task(Step.STATUS, identity)] = None
        if before is None and identity.kind in HELD_BY_US:
            tasks[Task(Step.FINALIZER, identity)] = None
    for identity in touched:
        if identity.group == OWN_GROUP:
            tasks[Task(Step.STATUS, identity)] = None
            if identity.kind in HELD_BY_US:
                tasks[Task(Step.FINALIZER, identity)] = None
    return list(tasks)
