"""What is done for one object: written, deleted, its status and its finalizer kept."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from aigw.controller import conditions
from aigw.controller.api import Api, ApiError
from aigw.controller.conditions import Condition
from aigw.controller.generated import (
    complete,
    controller_of,
    filters_of,
    foreign_fields,
    is_in_place,
)
from aigw.controller.kinds import FINALIZER, HTTP_ROUTE, OWN_GROUP, Kind, kind_of
from aigw.controller.objects import Held, Objects
from aigw.controller.view import View
from aigw.controller.work import Again
from aigw.errors import Code, Diagnostic, ResourceId, Severity

logger = logging.getLogger(__name__)

Json = dict[str, Any]

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


@dataclass(slots=True)
class Cache:
    """What the cluster holds: objects that are compiled, and those of generated kinds."""

    objects: Objects = field(default_factory=Objects)
    live: dict[ResourceId, Json] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[ResourceId]:
        """Identities of all objects of a kind."""
        key = (kind.group, kind.name)
        live = [item for item in self.live if (item.group, item.kind) == key]
        return live or self.objects.ids(*key)

    def is_old(self, identity: ResourceId, document: Json) -> bool:
        """Whether something newer of this object is known: lists and watches cross each other."""
        held, live = self.objects.get(identity), self.live.get(identity)
        known = held.version if held else _version(live or {})
        return _number(_version(document)) < _number(known)


def _version(document: Json) -> str:
    return str(document.get("metadata", {}).get("resourceVersion", ""))


def _number(version: str) -> int:
    """Versions of the API server are decimal numbers that grow (KEP-5504)."""
    return int(version) if version.isdecimal() else 0


class Writer:
    """Does tasks by the newest view. The cache gets what was written at once.

    `look_again` is told of tasks that follow, `programmed` says what data planes report of a
    route.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        look_again: Callable[[Iterable[Task]], None],
        programmed: Callable[[ResourceId], Condition | None],
    ) -> None:
        """Nothing is written yet."""
        self._api = api
        self._cache = cache
        self._look_again = look_again
        self._programmed = programmed
        self._faults: dict[ResourceId, dict[ResourceId, str]] = {}
        """By owner: what could not be written, and why."""
        self._steps = {
            Step.OBJECT: self._write_object,
            Step.STATUS: self._write_status,
            Step.FINALIZER: self._write_finalizer,
        }

    async def do(self, task: Task, view: View) -> Again | None:
        """Does one task; what fails is done again, later and later."""
        try:
            return await self._steps[task.step](task.id, view)
        except ApiError as error:
            level = logging.INFO if error.status == 409 else logging.WARNING
            logger.log(level, "%s: %s: %s", task.step.name.lower(), task.id, error)
            return Again()

    async def _write_object(self, identity: ResourceId, view: View) -> Again | None:
        generated, live = view.generated.get(identity), self._cache.live.get(identity)
        if generated is None:
            return await self._delete(identity, live)
        owner = self._cache.objects.get(generated.owner)
        if owner is None:
            return None
        wanted = complete(generated, owner)
        if live is not None and controller_of(live) != owner.uid:
            text = f"{identity} exists and is not of this {owner.id.kind}; it is left as it is"
            self._fault(owner.id, identity, text)
            return Again(_FOREIGN_SECONDS)
        if live is None and identity.kind == HTTP_ROUTE.name and self._lacks_filters(wanted, owner):
            return None  # its filters lead here again
        try:
            await self._put_in_place(identity, wanted, live)
        except ApiError as error:
            if error.is_permanent:
                self._fault(owner.id, identity, f"{identity} cannot be written: {error}")
            raise
        self._fault(owner.id, identity, "")
        route = ResourceId(HTTP_ROUTE.group, HTTP_ROUTE.name, owner.id.namespace, owner.id.name)
        if identity != route and route not in self._cache.live:
            self._look_again([Task(Step.OBJECT, route)])
        return None

    async def _put_in_place(self, identity: ResourceId, wanted: Json, live: Json | None) -> None:
        kind = kind_of(identity)
        if live is None or not is_in_place(wanted, live):
            live = await asyncio.to_thread(self._api.apply, kind, wanted)
            self._cache.live[identity] = live
        if patch := foreign_fields(wanted, live):
            patch["metadata"] = {"resourceVersion": live["metadata"]["resourceVersion"]}
            self._cache.live[identity] = await asyncio.to_thread(
                self._api.merge, kind, identity.namespace, identity.name, patch
            )

    def _lacks_filters(self, route: Json, owner: Held) -> bool:
        """Whether Envoy Gateway would find an HTTPRoute without a filter, and refuse it."""
        return any(
            controller_of(self._cache.live.get(identity, {})) != owner.uid
            for identity in filters_of(route)
        )

    async def _delete(self, identity: ResourceId, live: Json | None) -> Again | None:
        """Deletes what was made for an object that stays; the rest is for garbage collection."""
        if live is None or "deletionTimestamp" in live["metadata"]:
            return None
        owners = {held.uid: held for held in self._cache.objects.of_group(OWN_GROUP)}
        owner = owners.get(controller_of(live))
        if owner is None or owner.is_deleting:
            return None
        uid = live["metadata"]["uid"]
        kind = kind_of(identity)
        await asyncio.to_thread(self._api.delete, kind, identity.namespace, identity.name, uid)
        return None

    def _took(self, kind: Kind, written: Json) -> None:
        document = {**written, "apiVersion": kind.api_version, "kind": kind.name}
        identity = kind.identity(document)
        if identity in self._cache.objects and not self._cache.is_old(identity, document):
            self._cache.objects.put(document)

    def _fault(self, owner: ResourceId, identity: ResourceId, text: str) -> None:
        faults = self._faults.setdefault(owner, {})
        if faults.get(identity, "") == text:
            return
        if text:
            faults[identity] = text
        else:
            del faults[identity]
        self._look_again([Task(Step.STATUS, owner)])

    async def _write_status(self, identity: ResourceId, view: View) -> Again | None:
        held = self._cache.objects.get(identity)
        found = view.conditions.get(identity)
        if held is None or found is None:
            return None
        wanted = self._conditions(identity, found)
        now = datetime.now(UTC)
        status = conditions.status_of(wanted, held.generation, held.status, now)
        if status is None:
            return None
        await self._merge(identity, {"status": status}, "status")
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
        held = self._cache.objects.get(identity)
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
        await self._merge(identity, {"metadata": metadata})
        return None

    async def _merge(self, identity: ResourceId, patch: Json, part: str = "") -> None:
        """Patches an object of ours; one that is gone needs nothing any more."""
        kind = kind_of(identity)
        where = (kind, identity.namespace, identity.name)
        try:
            written = await asyncio.to_thread(self._api.merge, *where, patch, part)
        except ApiError as error:
            if error.status == 404:
                return
            raise
        self._took(kind, written)
