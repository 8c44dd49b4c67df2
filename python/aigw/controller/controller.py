"""The loop: events change the cache, the cache gives a view, differences become work."""

import asyncio
import gc
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.parse import identify
from aigw.controller.api import Api, ApiError, Page
from aigw.controller.bundle import LABELS
from aigw.controller.conditions import Condition, also
from aigw.controller.data_planes import DataPlanes
from aigw.controller.delivery import Delivery
from aigw.controller.kinds import GENERATED, HELD_BY_US, OWN_GROUP, READ, Kind
from aigw.controller.lease import Lease
from aigw.controller.objects import Objects
from aigw.controller.view import View, Viewer
from aigw.controller.watch import watch
from aigw.controller.work import Again, Work
from aigw.controller.writer import Cache, Step, Task, Writer
from aigw.errors import ResourceId
from aigw.plan import EndpointPrefixes
from aigw.render.snapshot import Snapshot

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_WORKERS = 8
_RESYNC_SECONDS = 300.0
_RETRY_SECONDS = 2.0


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
        self, api: Api, options: Options, delivery: Delivery, data_planes: DataPlanes
    ) -> None:
        """`delivery` gets every new view, the first one when everything was seen.

        Only when it returns is written what makes Envoys name what data planes must know.
        """
        self._api = api
        self._options = options
        self._delivery = delivery
        self._data_planes = data_planes
        self._viewer = Viewer(options.prefixes, int(time.time()))
        self._cache = Cache()
        self._view: View | None = None
        self._writer = Writer(api, self._cache, self._add, self._programmed)
        self._changed = asyncio.Event()
        self._touched: set[ResourceId] = set()
        self._work = Work(self._do, _WORKERS)
        self._lease = Lease(api, options.namespace, options.identity, self._on_lease)
        data_planes.follow(self, self.on_report)

    @property
    def is_leader(self) -> bool:
        """Whether this replica may write."""
        return self._lease.is_holder

    @property
    def objects(self) -> Objects:
        """The cache."""
        return self._cache.objects

    @property
    def snapshots(self) -> Mapping[str, Snapshot] | None:
        """Configurations of all Gateways with routes; None before the first view."""
        return None if self._view is None else self._delivery.snapshots

    async def run(self) -> None:
        """Runs until it is cancelled, or until kopf has heard a signal."""
        await self._see_all_at_last()
        async with asyncio.TaskGroup() as group:
            others = [
                group.create_task(task)
                for task in (
                    self._look(),
                    self._work.run(),
                    self._lease.run(),
                    self._resync(),
                    self._delivery.run(),
                    self._data_planes.run(),
                )
            ]
            await watch(self._api, (*READ, *GENERATED), self._options.watched, self._seen)
            for task in others:
                task.cancel()

    # --- what is there ---

    def _seen(self, kind: Kind, document: Json, is_gone: bool) -> None:
        identity = identify(document)
        if identity is None or self._cache.is_old(identity, document) or _is_ours(document):
            return
        if kind in GENERATED:
            if is_gone:
                self._cache.live.pop(identity, None)
            else:
                self._cache.live[identity] = document
            self._add([Task(Step.OBJECT, identity)])
            return
        objects = self._cache.objects
        if objects.remove(identity) if is_gone else objects.put(document):
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
                self._take(kind, namespace, page)
        self._changed.set()

    def _take(self, kind: Kind, namespace: str, page: Page) -> None:
        found = {identity: item for item in page.items if (identity := identify(item))}
        for identity in self._cache.of(kind):
            is_here = not namespace or identity.namespace == namespace
            if is_here and identity not in found:
                # One that came after the list is newer than it, and stays.
                self._seen(kind, gone(identity, kind, page.version), True)
        for item in found.values():
            self._seen(kind, item, False)

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
            objects = self._cache.objects.copy()
            view = await asyncio.to_thread(self._viewer.view, objects)
            await self._delivery.deliver(view)
            before, self._view = self._view, view
            if before is None:
                gc.freeze()  # most of it stays: looking through it again and again takes long
            self._data_planes.nudge()
            self._work.add(_differences(before, view, touched))

    def _add(self, tasks: Iterable[Task]) -> None:
        if self._view is not None:
            self._work.add(tasks)

    def _on_lease(self, is_holder: bool) -> None:
        if is_holder and self._view is not None:
            self._add(_differences(None, self._view, set()))

    def _programmed(self, route: ResourceId) -> Condition | None:
        """What data planes say, and why some have nothing but the stream."""
        condition = self._delivery.programmed(route)
        if condition is None:
            return None
        gateways = self._delivery.gateways_of(route)
        faults = (self._data_planes.fault(gateway) for gateway in gateways)
        return also(condition, [fault for fault in faults if fault])

    def on_report(self, gateway: str) -> None:
        """Data planes of a Gateway (`<ns>/<name>`) have said something new."""
        for path in self._delivery.routes_of(gateway):
            namespace, _, name = path.partition("/")
            route = ResourceId(AIGatewayRoute.GROUP, AIGatewayRoute.KIND, namespace, name)
            self._add([Task(Step.STATUS, route)])

    # --- what is done about it ---

    async def _do(self, task: Task) -> Again | None:
        if self._view is None or not self._lease.is_holder:
            return None
        return await self._writer.do(task, self._view)


def gone(identity: ResourceId, kind: Kind, version: str) -> Json:
    """The last of an object that is not there any more as of `version`."""
    metadata = {
        "name": identity.name,
        "namespace": identity.namespace,
        "resourceVersion": version,
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}


def _is_ours(document: Json) -> bool:
    """Whether it is a Secret of a Gateway's pods: nothing follows from it, and it is large."""
    labels = document.get("metadata", {}).get("labels") or {}
    return document.get("kind") == "Secret" and LABELS[1] in labels


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
