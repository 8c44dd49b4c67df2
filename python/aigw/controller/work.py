"""A keyed, level-triggered queue: what is to be done is looked up when it is done."""

import asyncio
import contextlib
import heapq
import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

_FIRST_DELAY = 0.005
_LONGEST_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class Again:
    """A key has to be looked at once more, after `seconds`; None: with a growing delay."""

    seconds: float | None = None


class Work(Generic[K]):
    """Runs `do(key)` for each key that was added, one at a time per key.

    A key that is added while it is worked on is worked on once more.
    """

    def __init__(self, do: Callable[[K], Awaitable[Again | None]], workers: int) -> None:
        """`do` must not raise for what is to be expected: it returns `Again`."""
        self._do = do
        self._workers = workers
        self._ready: dict[K, None] = {}
        self._busy: set[K] = set()
        self._later: list[tuple[float, int, K]] = []
        self._failures: dict[K, int] = {}
        self._count = 0
        self._changed = asyncio.Event()

    def add(self, keys: Iterable[K]) -> None:
        """Adds keys; those that wait for their time are done at once."""
        self._ready.update(dict.fromkeys(keys))
        self._changed.set()

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._next()
            again: Again | None
            try:
                again = await self._do(key)
            except Exception:  # one object's fault ends no other's work
                logger.exception("%s: failed unexpectedly", key)
                again = Again()
            self._busy.discard(key)
            self._settle(key, again)
            self._changed.set()

    def _settle(self, key: K, again: Again | None) -> None:
        if again is None or again.seconds is not None:
            self._failures.pop(key, None)
        if again is None:
            return
        delay = again.seconds
        if delay is None:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = min(_FIRST_DELAY * 2 ** min(failures, 20), _LONGEST_DELAY)
            delay *= random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        self._count += 1
        heapq.heappush(self._later, (time.monotonic() + delay, self._count, key))

    async def _next(self) -> K:
        while True:
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                self._ready[heapq.heappop(self._later)[2]] = None
            for key in self._ready:
                if key not in self._busy:
                    del self._ready[key]
                    self._busy.add(key)
                    return key
            self._changed.clear()
            until = self._later[0][0] - now if self._later else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until):
                    await self._changed.wait()
