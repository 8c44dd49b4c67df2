"""The threads that export. Collectors may be slow or away: nothing else waits for them."""

import asyncio
import contextlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aigw.observe.metrics import EXPORT_FAILURES, EXPORT_LAG, EXPORTED, Reading, Sample

logger = logging.getLogger(__name__)

BATCH = 200
"""Records of one export, and all that are in memory."""
READER = "otlp"
"""Name of the reader, whose position the ledger keeps."""
_IDLE_SECONDS = 1.0
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0
# Until supervisors lose their patience.
_JOIN_SECONDS = 5.0


class RecordReader(Protocol):
    """Usage records from where a reader of this name was before."""

    def read(self, limit: int, /) -> Sequence[bytes]:
        """The next records as JSON, at most `limit`; none when there are no more yet."""

    def keep(self, name: str, /) -> None:
        """Keeps the position of a reader: a later one goes on there."""


class MetricsSink(Protocol):
    """Takes readings."""

    def send(self, reading: Reading) -> bool:
        """False when it failed."""

    def close(self) -> None:
        """Ends a try that runs."""


class RecordSink(Protocol):
    """Takes usage records."""

    def send(self, records: Sequence[bytes]) -> bool:
        """False when it failed."""

    def close(self) -> None:
        """Ends a try that runs."""


@dataclass(slots=True)
class Trouble:
    """Says once that a collector is away, and once that it is back."""

    signal: str
    failures: int = 0
    _away: bool = False

    def note(self, *, sent: bool) -> None:
        """Takes in how an export went."""
        if sent and self._away:
            logger.info("OTLP %s: the collector is back", self.signal)
        if not sent:
            self.failures += 1
            if not self._away:
                logger.warning("OTLP %s: the collector does not take them", self.signal)
        self._away = not sent


class PeriodicMetrics:
    """Sends a reading at every interval, and one at the end."""

    def __init__(
        self, read: Callable[[], Reading], sink: MetricsSink, interval_seconds: float
    ) -> None:
        """Starts nothing."""
        self._read, self._sink, self._interval = read, sink, interval_seconds
        self.trouble = Trouble("metrics")

    def run(self, stop: threading.Event) -> None:
        """Runs until it is stopped."""
        while not stop.wait(self._interval):
            self._once()
        self._once()

    def close(self) -> None:
        """Ends a try that runs."""
        self._sink.close()

    def samples(self) -> Iterable[Sample]:
        """What is known of the export itself."""
        yield Sample(EXPORT_FAILURES, self.trouble.failures, {"aigw.signal": "metrics"})

    def _once(self) -> None:
        self.trouble.note(sent=_safely(lambda: self._sink.send(self._read())))


class UsageExport:
    """Sends usage records in order, each at least once.

    The position is kept once the collector has taken what comes before it: after a crash in
    between records come again, with the same ids.
    """

    def __init__(self, reader: RecordReader, sink: RecordSink) -> None:
        """Starts nothing."""
        self._reader, self._sink = reader, sink
        self._batch: Sequence[bytes] = ()
        self._delay = _FIRST_DELAY_SECONDS
        self.exported = 0
        self.trouble = Trouble("logs of usage")

    def run(self, stop: threading.Event) -> None:
        """Runs until it is stopped; then sends what is there, unless the collector is away."""
        while not stop.is_set():
            stop.wait(self.step())
        while self.step() == 0:
            pass

    def step(self) -> float:
        """Sends one batch; returns the seconds to wait: 0 when there may be more at once."""
        sent = _safely(self._send)
        if sent and not self._batch:
            return _IDLE_SECONDS
        self.trouble.note(sent=sent)
        if not sent:
            delay = self._delay * random.uniform(0.8, 1)  # noqa: S311 - not for secrets
            self._delay = min(self._delay * 2, _LONGEST_DELAY_SECONDS)
            return delay
        self.exported += len(self._batch)
        self._batch = ()
        self._delay = _FIRST_DELAY_SECONDS
        if not _safely(self._keep):
            logger.warning("OTLP logs: the position is not kept; records may be sent twice")
        return 0

    def _send(self) -> bool:
        self._batch = self._batch or self._reader.read(BATCH)
        return not self._batch or self._sink.send(self._batch)

    def _keep(self) -> bool:
        self._reader.keep(READER)
        return True

    def close(self) -> None:
        """Ends a try that runs."""
        self._sink.close()

    def samples(self) -> Iterable[Sample]:
        """What is known of the export itself."""
        yield Sample(EXPORT_FAILURES, self.trouble.failures, {"aigw.signal": "logs"})
        yield Sample(EXPORTED, self.exported)
        yield Sample(EXPORT_LAG, self._lag())

    def _lag(self) -> float:
        batch = self._batch
        if not batch:
            return 0
        record = json.loads(batch[0])
        end = float(record.get("started_at", 0) + record.get("duration_ns", 0))
        return max(0.0, time.time() - end / 1e9)


Export = PeriodicMetrics | UsageExport


class Exporting:
    """Exports that run, each in a thread."""

    def __init__(self, exports: Sequence[Export]) -> None:
        """Starts the threads."""
        self._exports = exports
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=export.run, args=(self._stop,), name="aigw-otlp", daemon=True)
            for export in exports
        ]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Sends what is left, for a bounded time."""
        self._stop.set()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for export in self._exports:
            with contextlib.suppress(Exception):
                export.close()


def samples_of(exports: Sequence[Export]) -> list[Sample]:
    """What is known of exports."""
    return [sample for export in exports for sample in export.samples()]


def _safely(work: Callable[[], bool]) -> bool:
    """Whether it worked; a fault of a library, or of a disk, is one more failure."""
    try:
        return work()
    except Exception as error:
        logger.debug("an export failed: %s", type(error).__name__)
        return False
