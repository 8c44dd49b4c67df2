"""A latch between a test and a reply that the provider is sending."""

from __future__ import annotations

import asyncio
import threading

REACHED_TIMEOUT = 10.0


class Gate:
    """Holds a reply at one point until somebody opens the gate.

    Safe to use from any thread and from any event loop. A gate opens once and stays open.

    Example:
        >>> gate = Gate()
        >>> gate.open()
        >>> asyncio.run(gate.passed())
    """

    def __init__(self) -> None:
        """Create a closed gate."""
        self._lock = threading.Lock()
        self._opened = False
        self._reached = threading.Event()
        self._waiting: set[asyncio.Future[None]] = set()

    def open(self) -> None:
        """Let every present and future reply pass."""
        with self._lock:
            self._opened = True
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            future.get_loop().call_soon_threadsafe(_release, future)

    def wait_reached(self, timeout: float = REACHED_TIMEOUT) -> None:
        """Block until a reply stands at the gate: all that comes before it has been sent.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: no reply came to the gate in time.
        """
        if not self._reached.wait(timeout):
            message = f"no reply reached the gate within {timeout} s"
            raise TimeoutError(message)

    async def passed(self) -> None:
        """Wait, on the provider's side, until the gate is open."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._opened:
                future.set_result(None)
            else:
                self._waiting.add(future)
        self._reached.set()
        try:
            await future
        finally:
            with self._lock:
                self._waiting.discard(future)


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
