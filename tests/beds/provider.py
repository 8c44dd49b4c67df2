"""The fake provider behind a synchronous face, for sync and async tests alike."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aigw.providers import (
        Exchange,
        FakeProvider,
        Journal,
        Match,
        Received,
        Reply,
        Responder,
        Script,
    )

T = TypeVar("T")

CALL_TIMEOUT = 10.0


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="beds", daemon=True)
        self._thread.start()

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result, 10 s at most."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(CALL_TIMEOUT)

    def stop(self) -> None:
        """Stop the loop and join the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT)
        self._loop.close()


class ProviderBed:
    """A started provider; every call may come from any thread."""

    def __init__(self, thread: LoopThread, provider: FakeProvider) -> None:
        """Start a provider on the thread's loop."""
        self._thread = thread
        self._provider = provider
        thread.run(provider.start())

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return self._provider.url

    @property
    def port(self) -> int:
        """The port on the loopback interface."""
        return self._provider.port

    @property
    def journal(self) -> Journal:
        """What came in; see `Journal.wait` for conditions."""
        return self._provider.journal

    @property
    def received(self) -> list[Received]:
        """The requests so far."""
        return self.journal.received

    def only(self) -> Received:
        """The one request that came in.

        Raises:
            AssertionError: there was none, or more than one.
        """
        received = self.received
        assert len(received) == 1, [r.path for r in received]
        return received[0]

    def finished(self, count: int = 1) -> list[Exchange]:
        """Wait until this many exchanges are over and return all."""
        return self.journal.wait(lambda seen: sum(e.finished_at is not None for e in seen) >= count)

    def on(self, *replies: Reply | Responder, match: Match | None = None) -> Script:
        """Answer the first, second, ... matching request with these replies; the last repeats."""
        return self._provider.on(*replies, match=match)

    def add(self, script: Script) -> None:
        """Put a script before all others."""
        self._provider.scripts.add(script)

    def reset(self) -> None:
        """Forget scripts and records."""
        self._provider.reset()

    def refuse(self) -> None:
        """Refuse connections; idle ones are closed, the port stays reserved."""
        self._thread.run(self._provider.refuse())

    def accept(self) -> None:
        """Accept connections again."""
        self._thread.run(self._provider.accept())

    def stop(self) -> None:
        """Stop; held replies are dropped."""
        self._thread.run(self._provider.stop())
