"""Everything around the pods of Gateways: which sidecar they get, their Secrets, their rollouts.

What pods get is the same for the webhook, on every replica, and for rollouts and Secrets, which
are the leader's. Workloads are looked at every few seconds, and at once when a view is new.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aigw.api.container import KubernetesContainerSpec
from aigw.api.gateway import Gateway
from aigw.api.gateway_config import GatewayConfig
from aigw.compile.proxies import CONFIG_ANNOTATION
from aigw.controller.api import Api, ApiError
from aigw.controller.bundle import TooLargeError
from aigw.controller.injection import (
    HASH,
    OWNER_NAME,
    Injection,
    Settings,
    gateway_of,
    has_sidecar,
    injection,
)
from aigw.controller.kinds import DAEMON_SET, DEPLOYMENT, POD, Kind
from aigw.controller.objects import Objects
from aigw.controller.rollout import AGAIN, Step, Workload, step, template_patch
from aigw.controller.secret_sets import SecretSets
from aigw.controller.webhook import NotReadyError
from aigw.errors import ResourceId
from aigw.render.snapshot import Snapshot

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_PERIOD_SECONDS, _LEAST_SECONDS = 5.0, 0.5
_UNSERVED_SECONDS = 60.0
"""A Gateway without routes keeps its sidecars for a while: routes may be replaced."""
_AGAIN_SECONDS = 300.0
_WORKLOADS = (DEPLOYMENT, DAEMON_SET)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where pods are: in `default` before they are there, and only in `watched`, if any."""

    default: str
    watched: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those to look into; empty: all of them."""
        return tuple(dict.fromkeys((*self.watched, self.default))) if self.watched else ("",)


class Served(Protocol):
    """What the controller knows."""

    @property
    def is_leader(self) -> bool:
        """Whether this replica may write."""

    @property
    def objects(self) -> Objects:
        """The cache."""

    @property
    def snapshots(self) -> Mapping[str, Snapshot] | None:
        """Configurations of all Gateways with routes; None before the first view."""


class DataPlanes:
    """`on_fault` hears of Gateways whose `faults` have changed."""

    def __init__(self, api: Api, settings: Settings, scope: Scope, sets: SecretSets) -> None:
        """Nothing is known before `follow`."""
        self._api = api
        self._settings = settings
        self._scope = scope
        self._sets = sets
        self._served: Served | None = None
        self._on_fault: Callable[[str], None] = lambda _: None
        self._changed = asyncio.Event()
        self._faults: dict[str, str] = {}
        self._unserved: dict[str, float] = {}
        self._again: dict[str, float] = {}

    def follow(self, served: Served, on_fault: Callable[[str], None]) -> None:
        """Gets to know the controller."""
        self._served, self._on_fault = served, on_fault

    def use(self, settings: Settings) -> None:
        """Takes other settings."""
        self._settings = settings

    def nudge(self) -> None:
        """There is a new view."""
        self._changed.set()

    def fault(self, gateway: str) -> str:
        """Why pods of a Gateway cannot mount the configuration, or nothing."""
        return self._faults.get(gateway, "")

    # --- what a pod gets ---

    def is_served(self, gateway: str) -> bool:
        """Whether a Gateway (`<ns>/<name>`) has routes that are served.

        Raises:
            NotReadyError: that is not known yet.
        """
        snapshots = self._served.snapshots if self._served else None
        if snapshots is None:
            message = "the controller has not seen the cluster yet"
            raise NotReadyError(message)
        return gateway in snapshots

    def sidecar(self, gateway: str) -> Injection:
        """The sidecar of a Gateway, by its GatewayConfig as it is now."""
        assert self._served is not None  # noqa: S101 - for the type checker
        return injection(gateway, self._settings, _config(self._served.objects, gateway))

    # --- what the leader does about it ---

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(_PERIOD_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            served = self._served
            if served is not None and served.is_leader and served.snapshots is not None:
                await self._pass(served.snapshots)
            await asyncio.sleep(_LEAST_SECONDS)

    async def _pass(self, snapshots: Mapping[str, Snapshot]) -> None:
        hashes = {gateway: self.sidecar(gateway).hash for gateway in snapshots}
        before = dict(self._faults)
        try:
            await asyncio.to_thread(self.look, snapshots, hashes, time.monotonic())
        except ApiError as error:
            logger.warning("pods of Gateways: %s", error)
        except Exception:  # the next look may be luckier, and configurations go on
            logger.exception("pods of Gateways")
        for gateway in before.keys() | self._faults.keys():
            if before.get(gateway) != self._faults.get(gateway):
                self._on_fault(gateway)

    def look(
        self, snapshots: Mapping[str, Snapshot], hashes: Mapping[str, str], now: float
    ) -> None:
        """One pass: Secrets first, since new pods wait for them.

        Raises:
            ApiError: something cannot be read.
        """
        workloads = self._workloads()
        self._sets.look(self._scope.namespaces)
        used = {(gateway_of(item.document), _place(item.document)) for item in workloads}
        wanted = {(gateway, place) for gateway, place in used if gateway in snapshots}
        homeless = snapshots.keys() - {gateway for gateway, _ in wanted}
        wanted |= {(gateway, self._scope.default) for gateway in homeless}
        for gateway, place in sorted(wanted):
            self._keep(gateway, place, snapshots[gateway], now)
        for item in workloads:
            self._roll(item, hashes.get(gateway_of(item.document), ""), now)
        for gateway, place in sorted({*self._sets.places()} - wanted):
            self._collect(gateway, place, workloads)
        for gateway in self._faults.keys() - snapshots.keys():
            del self._faults[gateway]

    def _keep(self, gateway: str, place: str, snapshot: Snapshot, now: float) -> None:
        try:
            self._sets.keep_client(gateway, place)
            if not self._sets.keep_bundle(gateway, place, snapshot, now):
                return
        except (ApiError, TooLargeError) as error:
            if self._faults.get(gateway) != str(error):
                logger.warning("%s: Secrets of its pods in %s: %s", gateway, place, error)
            self._faults[gateway] = str(error)
            return
        self._faults.pop(gateway, None)

    def _workloads(self) -> list[Workload]:
        pods = self._list(POD)
        return [
            Workload(item, [pod for pod in pods if _is_of(pod, item)])
            for kind in _WORKLOADS
            for item in self._list(kind)
        ]

    def _list(self, kind: Kind) -> list[Json]:
        found = (
            self._api.list(kind, namespace, OWNER_NAME).items
            for namespace in self._scope.namespaces
        )
        return [item for items in found for item in items]

    def _roll(self, workload: Workload, wanted: str, now: float) -> None:
        document = workload.document
        uid = document["metadata"]["uid"]
        if wanted:
            self._unserved.pop(uid, None)
        elif now - self._unserved.setdefault(uid, now) < _UNSERVED_SECONDS:
            return
        needed = step(workload, wanted)
        if needed is Step.TEMPLATE:
            self._annotate(document, {HASH: wanted or None})
        elif needed is Step.AGAIN and now - self._again.get(uid, -_AGAIN_SECONDS) >= _AGAIN_SECONDS:
            self._again[uid] = now
            self._annotate(document, {AGAIN: str(uuid.uuid4())})

    def _annotate(self, document: Json, annotations: Mapping[str, str | None]) -> None:
        metadata = document["metadata"]
        kind = DEPLOYMENT if document["kind"] == DEPLOYMENT.name else DAEMON_SET
        place, name = metadata["namespace"], metadata["name"]
        try:
            self._api.merge(kind, place, name, template_patch(annotations))
        except ApiError as error:
            logger.warning("%s %s/%s: %s", kind.name, place, name, error)
            return
        logger.info("%s %s/%s: its pods are made anew", kind.name, place, name)

    def _collect(self, gateway: str, place: str, workloads: list[Workload]) -> None:
        """Not from pods that live."""
        for item in workloads:
            is_its = gateway_of(item.document) == gateway and _place(item.document) == place
            if is_its and (item.hash or any(map(has_sidecar, item.pods))):
                return
        try:
            self._sets.collect(gateway, place)
        except ApiError as error:
            logger.warning("%s: Secrets of its pods in %s: %s", gateway, place, error)


def _config(objects: Objects, gateway: str) -> KubernetesContainerSpec | None:
    namespace, _, name = gateway.partition("/")
    held = objects.get(ResourceId(Gateway.GROUP, Gateway.KIND, namespace, name))
    metadata = held.content.get("metadata", {}) if held else {}
    chosen = (metadata.get("annotations") or {}).get(CONFIG_ANNOTATION, "")
    config = objects.get(ResourceId(GatewayConfig.GROUP, GatewayConfig.KIND, namespace, chosen))
    if config is None or not isinstance(config.resource, GatewayConfig):
        return None
    ext_proc = config.resource.spec.ext_proc
    return ext_proc.kubernetes if ext_proc else None


def _place(document: Json) -> str:
    return str(document["metadata"]["namespace"])


def _is_of(pod: Json, workload: Json) -> bool:
    """By the labels: a workload's pods have those of its selector."""
    if _place(pod) != _place(workload):
        return False
    wanted = workload["spec"]["selector"].get("matchLabels") or {}
    labels = pod["metadata"].get("labels") or {}
    return bool(wanted) and wanted.items() <= labels.items()
