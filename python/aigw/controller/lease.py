"""Leader election: of all replicas, only the holder of the Lease writes."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aigw.controller.api import Api, ApiError
from aigw.controller.kinds import LEASE

logger = logging.getLogger(__name__)

NAME = "envoy-ai-gateway-controller"
DURATION_SECONDS = 15
_DEADLINE_SECONDS = 10.0
_RETRY_SECONDS = 2.0

Json = dict[str, Any]


class Lease:
    """Takes the Lease and keeps it; `on_change` hears of every change of being the holder.

    Others' times are never compared with our clock: a Lease has ended when it has not changed
    for its duration, seen from here.
    """

    def __init__(
        self, api: Api, namespace: str, identity: str, on_change: Callable[[bool], None]
    ) -> None:
        """`identity` must differ between replicas."""
        self._api = api
        self._namespace = namespace
        self._identity = identity
        self._on_change = on_change
        self._is_holder = False
        self._seen: Json = {}
        self._seen_at = 0.0
        self._renewed_at = 0.0

    @property
    def is_holder(self) -> bool:
        """Whether this replica may begin to write now.

        Others may from the end of the Lease on; what is begun in time has ended by then.
        """
        return self._is_holder and time.monotonic() - self._renewed_at < _DEADLINE_SECONDS

    async def run(self) -> None:
        """Runs until it is cancelled; gives the Lease back then."""
        try:
            while True:
                await self._step()
                pause = _RETRY_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
                await asyncio.sleep(pause)
        finally:
            if self._is_holder:
                self._set(is_holder=False)
                with contextlib.suppress(ApiError):
                    await asyncio.to_thread(self._release)

    async def _step(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                is_holder = await asyncio.to_thread(self._take)
        except (ApiError, TimeoutError) as error:
            logger.warning("the Lease %s cannot be renewed: %s", NAME, error or "no answer")
            is_holder = time.monotonic() - self._renewed_at < _DEADLINE_SECONDS and self._is_holder
        self._set(is_holder=is_holder)

    def _set(self, *, is_holder: bool) -> None:
        if is_holder != self._is_holder:
            self._is_holder = is_holder
            logger.info("%s the Lease %s", "holds" if is_holder else "does not hold", NAME)
            self._on_change(is_holder)

    def _take(self) -> bool:
        """Creates, renews or takes over; False where another one has it."""
        asked_at = time.monotonic()
        found = self._api.get(LEASE, self._namespace, NAME)
        if found is None:
            return self._write(asked_at, None)
        spec = found.get("spec", {})
        holder = spec.get("holderIdentity")
        if holder and holder != self._identity and not self._has_ended(spec, asked_at):
            return False
        return self._write(asked_at, found)

    def _has_ended(self, spec: Json, now: float) -> bool:
        if spec != self._seen:
            self._seen, self._seen_at = spec, now
            return False
        return now - self._seen_at > int(spec.get("leaseDurationSeconds", DURATION_SECONDS))

    def _write(self, asked_at: float, found: Json | None) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (found or {}).get("spec", {})
        is_mine = before.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": before.get("acquireTime", now) if is_mine else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions", 0)) + (not is_mine),
        }
        try:
            if found is None:
                metadata: Json = {"name": NAME, "namespace": self._namespace}
                named = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
                content = {**named, "metadata": metadata, "spec": spec}
                self._api.create(LEASE, self._namespace, content)
            else:
                self._api.replace(LEASE, {**found, "spec": spec})
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        self._renewed_at = asked_at
        return True

    def _release(self) -> None:
        found = self._api.get(LEASE, self._namespace, NAME)
        if found and found.get("spec", {}).get("holderIdentity") == self._identity:
            self._api.replace(LEASE, {**found, "spec": {**found["spec"], "holderIdentity": ""}})
