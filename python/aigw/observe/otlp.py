"""Numbers and usage records in the words of the OpenTelemetry SDK, and its exporters.

The one module that imports its packages: extra `otel`, loaded only where something is exported.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetrics,
)
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetrics,
)
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from aigw import _core
from aigw.observe.metrics import SCOPE, SERVICE, Family, Point, Reading
from aigw.observe.settings import LogsExport, MetricsExport, Temporality

EVENT = "aigw.usage"
"""Name of the event of a usage record."""
RECORD_ID = "aigw.record.id"
"""What tells records apart; one that comes twice has the same."""
_JSON = dict[str, Any]
# Our own lines say what is wrong once, not at every try.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


def _resource() -> Resource:
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {"service.name": SERVICE})


def _scope() -> InstrumentationScope:
    return InstrumentationScope(SCOPE, _core.version())


class MetricsExporter:
    """Sends readings."""

    def __init__(self, settings: MetricsExport) -> None:
        """Connects to nothing yet."""
        self._exporter = _metrics_exporter(settings)
        self._difference = Difference() if settings.temporality is Temporality.DELTA else None
        self._resource, self._scope = _resource(), _scope()

    def send(self, reading: Reading) -> bool:
        """False when the collector did not take it."""
        now = time.time_ns()
        metrics = self._metrics(reading, now)
        if not metrics:
            return True
        scope = ScopeMetrics(self._scope, metrics, "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        sent = self._exporter.export(data) is MetricExportResult.SUCCESS
        if sent and self._difference:
            self._difference.sent(reading, now)
        return sent

    def close(self) -> None:
        """Ends tries that run."""
        self._exporter.shutdown()

    def _metrics(self, reading: Reading, now: int) -> list[Metric]:
        if self._difference:
            self._difference.begin(reading)
        sources = ((reading.started_at, reading.families), (reading.began, reading.own))
        return [
            self._metric(family, (since, now)) for since, families in sources for family in families
        ]

    def _metric(self, family: Family, span: tuple[int, int]) -> Metric:
        difference, points = self._difference, family.points
        temporality = AggregationTemporality.CUMULATIVE
        if difference:
            temporality = AggregationTemporality.DELTA
            span = (max(span[0], difference.sent_at), span[1])
        if difference and family.kind != "gauge":
            points = [difference.of(family, point) for point in points]
        data = _data(family, points, temporality, span)
        return Metric(family.name, family.help, family.unit, data)


def _data(
    family: Family,
    points: Sequence[Point],
    temporality: AggregationTemporality,
    span: tuple[int, int],
) -> Sum | Gauge | Histogram:
    if family.kind == "histogram":
        buckets = [_histogram(point, family.bounds, span) for point in points]
        return Histogram(buckets, temporality)
    numbers = [NumberDataPoint(dict(point.labels), *span, float(point.value)) for point in points]
    if family.kind == "gauge":
        return Gauge(numbers)
    return Sum(numbers, temporality, is_monotonic=True)


def _histogram(point: Point, bounds: Sequence[float], span: tuple[int, int]) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=dict(point.labels),
        start_time_unix_nano=span[0],
        time_unix_nano=span[1],
        count=sum(point.counts),
        sum=point.value,
        bucket_counts=point.counts,
        explicit_bounds=bounds,
        min=None,  # type: ignore[arg-type]  # optional in OTLP, and not kept
        max=None,  # type: ignore[arg-type]  # as above
    )


_Key = tuple[str, tuple[tuple[str, str], ...]]


class Difference:
    """What has come since the export before. A new data plane starts at zero."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.sent_at = 0
        self._started_at = 0
        self._before: dict[_Key, Point] = {}

    def begin(self, reading: Reading) -> None:
        """Forgets what a data plane has counted that is gone."""
        if reading.started_at != self._started_at:
            ours = {family.name for family in reading.own}
            self._before = {key: point for key, point in self._before.items() if key[0] in ours}

    def of(self, family: Family, point: Point) -> Point:
        """A point without what was sent."""
        before = self._before.get(_key(family, point))
        if before is None:
            return point
        counts = [new - old for new, old in zip(point.counts, before.counts, strict=True)]
        return Point(point.labels, point.value - before.value, counts)

    def sent(self, reading: Reading, now: int) -> None:
        """Remembers a reading that the collector has."""
        self._started_at, self.sent_at = reading.started_at, now
        self._before = {
            _key(family, point): point
            for family in (*reading.families, *reading.own)
            for point in family.points
        }


def _key(family: Family, point: Point) -> _Key:
    return family.name, tuple(sorted(point.labels.items()))


class LogsExporter:
    """Sends usage records as log records."""

    def __init__(self, settings: LogsExport) -> None:
        """Connects to nothing yet."""
        grpc = settings.protocol == "grpc"
        self._exporter = GrpcLogs(channel_options=_proxy("LOGS")) if grpc else HttpLogs()
        self._resource, self._scope = _resource(), _scope()

    def send(self, records: Sequence[bytes]) -> bool:
        """False when the collector did not take them: send them again."""
        batch = [
            ReadableLogRecord(log_record(json.loads(record)), self._resource, self._scope)
            for record in records
        ]
        return self._exporter.export(batch) is LogRecordExportResult.SUCCESS

    def close(self) -> None:
        """Ends tries that run."""
        self._exporter.shutdown()


def log_record(record: _JSON) -> LogRecord:
    """A usage record as an event; the same record makes the same event whenever it is sent."""
    end = int(record.get("started_at") or 0) + int(record.get("duration_ns") or 0)
    return LogRecord(
        timestamp=end,
        observed_timestamp=end,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        event_name=EVENT,
        body=_without_nothing(record),
        attributes=_without_nothing(_attributes(record)),
    )


def _attributes(record: _JSON) -> _JSON:
    usage, attempts = record.get("usage") or {}, record.get("attempts") or [{}]
    price = record.get("price") or {}
    found = {
        RECORD_ID: record.get("id"),
        "gen_ai.operation.name": record.get("operation"),
        "gen_ai.provider.name": attempts[-1].get("provider"),
        "gen_ai.original.model": record.get("requested_model"),
        "gen_ai.request.model": record.get("routed_model") or record.get("requested_model"),
        "gen_ai.response.model": record.get("response_model"),
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": usage.get("cached_input_tokens"),
        "gen_ai.usage.cache_creation.input_tokens": usage.get("cache_creation_input_tokens"),
        "gen_ai.usage.reasoning.output_tokens": usage.get("reasoning_tokens"),
        "http.response.status_code": record.get("status") or None,
        "error.type": record.get("error_kind"),
        "aigw.outcome": record.get("outcome"),
        "aigw.gateway": record.get("gateway"),
        "aigw.route": record.get("route"),
        "aigw.backend": record.get("backend"),
        "aigw.identity": record.get("identity"),
        "aigw.cost.pico_usd": price.get("pico_usd"),
    }
    known = {name: value for name, value in found.items() if value not in (None, "")}
    return {**(record.get("attributes") or {}), **known}


def _without_nothing(value: Any) -> Any:  # noqa: ANN401 - JSON
    """OTLP has whole numbers of 63 bits, and nothing for `null`."""
    if isinstance(value, dict):
        return {name: _without_nothing(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nothing(each) for each in value]
    if isinstance(value, int) and value > sys.maxsize:
        return str(value)
    return value


def _metrics_exporter(
    settings: MetricsExport,
) -> ConsoleMetricExporter | GrpcMetrics | HttpMetrics:
    if settings.protocol is None:
        return ConsoleMetricExporter(out=sys.stdout, formatter=_line)
    if settings.protocol == "grpc":
        return GrpcMetrics(channel_options=_proxy("METRICS"))
    return HttpMetrics()


def _line(data: MetricsData) -> str:
    return data.to_json(indent=None) + "\n"


def _proxy(signal: str) -> Any:  # noqa: ANN401 - values of several types, declared as texts
    """How gRPC reaches the collector. By itself it knows lower-case variables only."""
    names = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    endpoint = next((os.environ[name] for name in names if os.environ.get(name)), "")
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return (("grpc.enable_http_proxy", 0),)
    return (("grpc.http_proxy", proxy),)
