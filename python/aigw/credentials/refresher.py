"""Keeps what credentials were exchanged for fresh."""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aigw.credentials.errors import ExchangeError
from aigw.credentials.exchange import exchange
from aigw.plan import Credential, Exchangeable, Issued

logger = logging.getLogger(__name__)

Exchange = Callable[[Exchangeable], Issued]

# A token is renewed this long before it ends, or when a fifth of its life is left.
_AHEAD_SECONDS = 300
# Keys without an end are looked up again: their file may have changed.
_LOOK_AGAIN_SECONDS = 300.0
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0
# Each step of an exchange has its own limit; this is for a server that sends drop by drop.
_DEADLINE_SECONDS = 60.0
_NAP_SECONDS = 30.0


@dataclass(slots=True)
class Tries:
    """How the exchanges of one credential went; `issued_at` is in Unix seconds."""

    issued: int = 0
    failed: int = 0
    issued_at: float | None = None


class Refresher:
    """Exchanges credentials in the background and hands on every change of what was had."""

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        on_change: Callable[[Mapping[str, Issued]], None],
        exchange: Exchange = exchange,
    ) -> None:
        """`on_change` gets all that was had so far, by credential."""
        self._on_change = on_change
        self._exchange = exchange
        self._wanted: dict[str, Exchangeable] = {}
        self._issued: dict[str, Issued] = {}
        self.tries: dict[str, Tries] = {}
        self._updated = asyncio.Event()
        self.update(credentials)

    @property
    def issued(self) -> Mapping[str, Issued]:
        """What was had so far, by credential."""
        return dict(self._issued)

    def update(self, credentials: Mapping[str, Credential]) -> None:
        """Takes other credentials over. What was had for those that stay the same is kept."""
        before = self._wanted
        self._wanted = {
            name: value for name, value in credentials.items() if isinstance(value, Exchangeable)
        }
        self._issued = {
            name: value
            for name, value in self._issued.items()
            if self._wanted.get(name) == before.get(name)
        }
        self.tries = {name: self.tries.get(name, Tries()) for name in self._wanted}
        self._updated.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        tasks: dict[str, tuple[Exchangeable, asyncio.Task[None]]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._updated.clear()
                for name, (credential, task) in list(tasks.items()):
                    if self._wanted.get(name) != credential:
                        task.cancel()
                        del tasks[name]
                for name, credential in self._wanted.items():
                    if name not in tasks:
                        task = group.create_task(self._keep_fresh(name, credential))
                        tasks[name] = (credential, task)
                await self._updated.wait()

    async def _keep_fresh(self, name: str, credential: Exchangeable) -> None:
        source = _Source(credential, self._exchange)
        delay = _FIRST_DELAY_SECONDS
        while True:
            pause = await self._renewed(name, source, delay)
            if pause is not None:
                delay = _FIRST_DELAY_SECONDS
                await _sleep_until(time.time() + pause)
                continue
            await asyncio.sleep(delay * random.uniform(0.8, 1))  # noqa: S311 - not for secrets
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _renewed(self, name: str, source: "_Source", delay: float) -> float | None:
        """Seconds until the next renewal; None after a failure, which is logged."""
        try:
            issued = await source.issue()
            pause = _until_renewal(issued, time.time())
            self._hand_on(name, source.credential, issued)
            self._tries(name).issued += 1
            self._tries(name).issued_at = time.time()
        except ExchangeError as error:
            why = str(error)
        except TimeoutError:
            why = f"no answer within {_DEADLINE_SECONDS:.0f} s"
        except OSError as error:
            why = error.strerror or type(error).__name__
        except Exception as error:  # a fault of a library ends no other credential
            why = f"unexpected {type(error).__name__}"
        else:
            if delay > _FIRST_DELAY_SECONDS:
                logger.info("BackendSecurityPolicy %s: has its credential again", name)
            return pause
        self._tries(name).failed += 1
        text = "BackendSecurityPolicy %s: no credential: %s; next try in %.0f s"
        logger.warning(text, name, why, delay)
        return None

    def _tries(self, name: str) -> Tries:
        """Those of a credential; of one that is gone, a place to forget."""
        return self.tries.get(name, Tries())

    def _hand_on(self, name: str, credential: Exchangeable, issued: Issued) -> None:
        if self._wanted.get(name) == credential and self._issued.get(name) != issued:
            self._on_change({**self._issued, name: issued})
            self._issued[name] = issued


class _Source:
    """Where the tokens of one credential come from."""

    def __init__(self, credential: Exchangeable, exchange: Exchange) -> None:
        self.credential = credential
        self._exchange = exchange
        self._late: asyncio.Future[Issued] | None = None

    async def issue(self) -> Issued:
        """What is issued. An exchange that is late goes on, and the next call waits for it.

        Raises:
            TimeoutError: nothing is issued yet.
        """
        future = self._late or _in_thread(lambda: self._exchange(self.credential))
        self._late = None
        try:
            done, _ = await asyncio.wait({future}, timeout=_DEADLINE_SECONDS)
        except asyncio.CancelledError:
            future.cancel()
            raise
        if not done:
            self._late = future
            raise TimeoutError
        return future.result()


def _in_thread(work: Callable[[], Issued]) -> asyncio.Future[Issued]:
    """As `asyncio.to_thread`, but the end of the process does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Issued] = loop.create_future()

    def settle(result: Issued | None, error: Exception | None) -> None:
        if future.done():
            return
        if result is not None:
            future.set_result(result)
        elif error is not None:
            future.set_exception(error)

    def run() -> None:
        result, fault = None, None
        try:
            result = work()
        except Exception as error:  # it is raised where the result is awaited
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=run, name="aigw-credential", daemon=True).start()
    return future


async def _sleep_until(at: float) -> None:
    """Sleeps by the wall clock, which goes on while the machine is suspended."""
    while (left := at - time.time()) > 0:  # noqa: ASYNC110 - nobody sets an event when time passes
        await asyncio.sleep(min(left, _NAP_SECONDS))


def _until_renewal(issued: Issued, now: float) -> float:
    """Seconds until something should be renewed; at least one.

    Raises:
        ExchangeError: it has ended already.
    """
    if issued.expires_at is None:
        return _LOOK_AGAIN_SECONDS
    left = issued.expires_at - now
    if left <= 0:
        message = "what was issued has expired already; is the clock right?"
        raise ExchangeError(message)
    return max(left - min(_AHEAD_SECONDS, left / 5), 1.0)
