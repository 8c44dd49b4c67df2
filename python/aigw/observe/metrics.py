"""What is known of a gateway: counts of its data plane, and of the processes around it."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aigw import _core

SCOPE = "envoyproxy/ai-gateway"
"""Name of the meter."""
SERVICE = "ai-gateway"
"""`service.name`, unless a variable says otherwise."""


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """A metric that the control side counts."""

    name: str
    prometheus: str
    unit: str
    kind: Literal["counter", "gauge"]
    labels: str
    help: str


CREDENTIAL_EXCHANGES = OwnMetric(
    "aigw.credential.exchanges",
    "aigw_credential_exchanges_total",
    "{exchange}",
    "counter",
    "aigw.credential, aigw.result",
    "Tries to exchange a credential for a token.",
)
CREDENTIAL_AGE = OwnMetric(
    "aigw.credential.age",
    "aigw_credential_age_seconds",
    "s",
    "gauge",
    "aigw.credential",
    "Time since a credential was last had in exchange.",
)
EXPORTED = OwnMetric(
    "aigw.export.records",
    "aigw_export_records_total",
    "{record}",
    "counter",
    "",
    "Usage records that the collector has taken.",
)
EXPORT_FAILURES = OwnMetric(
    "aigw.export.failures",
    "aigw_export_failures_total",
    "{export}",
    "counter",
    "aigw.signal",
    "Exports that a collector did not take. Usage records are sent again.",
)
EXPORT_LAG = OwnMetric(
    "aigw.export.lag",
    "aigw_export_lag_seconds",
    "s",
    "gauge",
    "",
    "Age of the oldest usage record that the collector has yet to take; 0 when it has all.",
)
OWN = (CREDENTIAL_EXCHANGES, CREDENTIAL_AGE, EXPORTED, EXPORT_FAILURES, EXPORT_LAG)
"""All of them, in the order of their documentation."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of the control side."""

    metric: OwnMetric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Collector = Callable[[], Iterable[Sample]]
"""Called from any thread."""


@dataclass(frozen=True, slots=True)
class Point:
    """The numbers of a metric under one set of attributes.

    `counts` has the observations in each bucket of a histogram, whose sum is `value`.
    """

    labels: Mapping[str, str]
    value: float
    counts: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and its points."""

    name: str
    unit: str
    help: str
    kind: Literal["counter", "gauge", "histogram"]
    bounds: Sequence[float]
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Reading:
    """All numbers at one time; times are in Unix ns."""

    started_at: int
    """When the data plane began to count; a new one begins at zero."""
    families: Sequence[Family]
    began: int = 0
    """When this process began to count."""
    own: Sequence[Family] = ()


class Metrics:
    """Reads the data plane's shared memory and asks the collectors."""

    def __init__(self, runtime_dir: Path, collectors: Sequence[Collector] = ()) -> None:
        """Nothing is read yet."""
        self._runtime_dir = str(runtime_dir)
        self._collectors = list(collectors)
        self._began = time.time_ns()

    def add(self, collector: Collector) -> None:
        """One more source of numbers."""
        self._collectors.append(collector)

    async def text(self) -> bytes:
        """Prometheus text."""
        return await asyncio.to_thread(self._text)

    def _text(self) -> bytes:
        try:
            found = _core.metrics_text(self._runtime_dir)
        except _core.StartError:  # the data plane is still to start
            found = b""
        return found + _own_text(self._samples()).encode()

    def read(self) -> Reading:
        """Numbers for an exporter."""
        own = [_own_family(metric, samples) for metric, samples in _grouped(self._samples())]
        try:
            found = json.loads(_core.metrics_points(self._runtime_dir))
        except _core.StartError:
            return Reading(self._began, [], self._began, own)
        families = [_family(family) for family in found["families"]]
        return Reading(found["started_at"], families, self._began, own)

    def _samples(self) -> list[Sample]:
        return [sample for collector in self._collectors for sample in collector()]


def _family(found: dict[str, Any]) -> Family:
    kind = found["kind"]
    buckets = isinstance(kind, dict)
    return Family(
        name=found["name"],
        unit=found["unit"],
        help=found["help"],
        kind="histogram" if buckets else kind,
        bounds=kind["histogram"] if buckets else (),
        points=[
            Point(dict(point["labels"]), point["value"], point.get("counts", ()))
            for point in found["points"]
        ],
    )


def _own_family(metric: OwnMetric, samples: Sequence[Sample]) -> Family:
    points = [Point(sample.labels, sample.value) for sample in samples]
    return Family(metric.name, metric.unit, metric.help, metric.kind, (), points)


def _grouped(samples: Sequence[Sample]) -> Iterable[tuple[OwnMetric, list[Sample]]]:
    for metric in OWN:
        if mine := [sample for sample in samples if sample.metric is metric]:
            yield metric, mine


def _own_text(samples: Sequence[Sample]) -> str:
    lines = [
        "# HELP target_info Target metadata",
        "# TYPE target_info gauge",
        f'target_info{{service_name="{SERVICE}",service_version="{_core.version()}"}} 1',
    ]
    for metric, mine in _grouped(samples):
        lines.append(f"# HELP {metric.prometheus} {metric.help}")
        lines.append(f"# TYPE {metric.prometheus} {metric.kind}")
        for sample in mine:
            labels = {"otel_scope_name": SCOPE, **sample.labels}
            text = ",".join(f'{_label(name)}="{_quoted(value)}"' for name, value in labels.items())
            lines.append(f"{metric.prometheus}{{{text}}} {sample.value}")
    return "\n".join(lines) + "\n"


def _label(name: str) -> str:
    return name.replace(".", "_")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
