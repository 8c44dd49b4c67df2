"""The admin port and the exports of one gateway."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aigw.observe.admin import Health, Pages, serving
from aigw.observe.errors import ObserveError
from aigw.observe.exporting import (
    Export,
    Exporting,
    PeriodicMetrics,
    RecordReader,
    UsageExport,
    samples_of,
)
from aigw.observe.metrics import Collector, Metrics
from aigw.observe.settings import Exports, exports_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """Where to listen and what to tell. `port` is that of `serving`; `usage` opens the ledger."""

    runtime_dir: Path
    address: str
    port: int | None
    health: Health
    collectors: Sequence[Collector] = ()
    usage: Callable[[], RecordReader] | None = None


@contextlib.asynccontextmanager
async def observing(what: Observed, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """Serves metrics and exports until the end of the block; gives `host:port`.

    Raises:
        ObserveError: the port cannot be had, or an export is asked for that cannot be.
    """
    metrics = Metrics(what.runtime_dir, what.collectors)
    exports = _exports(exports_of(environment), metrics, what, environment)
    metrics.add(lambda: samples_of(exports))
    async with serving(what.address, what.port, Pages(metrics.text, what.health)) as address:
        exporting = Exporting(exports)
        try:
            yield address
        finally:
            await exporting.stop()


def _exports(
    wanted: Exports, metrics: Metrics, what: Observed, environment: Mapping[str, str]
) -> list[Export]:
    if not wanted:
        return []
    try:
        from aigw.observe import otlp  # noqa: PLC0415 - many packages, only where they are used
    except ImportError as error:
        message = (
            f"nothing is exported: the library {error.name} is missing; "
            "install it with: pip install 'aigw[otel]'"
        )
        if environment.get("OTEL_METRICS_EXPORTER"):
            raise ObserveError(message) from None
        logger.warning(message)
        return []
    found: list[Export] = []
    if wanted.metrics:
        sink = otlp.MetricsExporter(wanted.metrics)
        found.append(PeriodicMetrics(metrics.read, sink, wanted.metrics.interval_seconds))
    if wanted.logs and what.usage:
        found.append(UsageExport(what.usage(), otlp.LogsExporter(wanted.logs)))
    return found
