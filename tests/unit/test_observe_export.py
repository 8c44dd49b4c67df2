"""Exports to a collector of the official protobuf types."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Literal

import pytest

from aigw.observe import otlp
from aigw.observe.exporting import BATCH, READER, PeriodicMetrics, UsageExport
from aigw.observe.metrics import Family, Point, Reading
from aigw.observe.otlp import LogsExporter, MetricsExporter, log_record
from aigw.observe.settings import LogsExport, MetricsExport, Temporality
from beds.collector import Collector, attributes, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORD = {
    "id": "0123456789abcdef0123456789abcdef",
    "started_at": 1_700_000_000_000_000_000,
    "duration_ns": 5,
    "operation": "chat",
    "route": "default/r",
    "backend": "default/b",
    "requested_model": "m",
    "routed_model": "m-1",
    "response_model": None,
    "status": 200,
    "outcome": "completed",
    "error_kind": "",
    "attributes": {"team": "red"},
    "usage": {"input_tokens": 7, "output_tokens": 2**64 - 1, "total_tokens": None},
    "estimated": False,
    "attempts": [{"provider": "openai", "usage": {"input_tokens": 7}}],
}


class _Reader:
    """Records in memory, and where their reader was."""

    def __init__(self, count: int, position: int = 0) -> None:
        self.count = count
        self.position = self.kept = position
        self.most = 0

    def read(self, limit: int) -> Sequence[bytes]:
        """As the ledger."""
        numbers = range(self.position, min(self.position + limit, self.count))
        self.position = numbers.stop
        self.most = max(self.most, len(numbers))
        return [json.dumps({**RECORD, "id": f"{n:032x}"}).encode() for n in numbers]

    def keep(self, name: str) -> None:
        """As the ledger."""
        assert name == READER
        self.kept = self.position


@pytest.fixture(params=["grpc", "http/protobuf"])
def collector(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Collector]:
    with running(request.param) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


def exporter(protocol: Literal["grpc", "http/protobuf"]) -> LogsExporter:
    return LogsExporter(LogsExport(protocol))


def ids(count: int) -> list[str]:
    return [f"{n:032x}" for n in range(count)]


def test_every_record_is_sent_once_and_in_order(collector: Collector) -> None:
    reader = _Reader(450)
    export = UsageExport(reader, exporter(collector.protocol))
    stop = threading.Event()
    stop.set()
    export.run(stop)
    export.close()
    assert collector.record_ids() == ids(450)
    assert (reader.most, reader.kept, export.exported) == (BATCH, 450, 450)
    record = collector.log_records[0]
    found = attributes(record)
    assert found["gen_ai.usage.input_tokens"] == 7
    assert found["gen_ai.usage.output_tokens"] == str(2**64 - 1)
    assert (found["team"], found["gen_ai.provider.name"]) == ("red", "openai")
    assert "error.type" not in found
    assert record.time_unix_nano == 1_700_000_000_000_000_005
    assert record.event_name == "aigw.usage"
    body = {pair.key: pair.value for pair in record.body.kvlist_value.values}
    assert body["outcome"].string_value == "completed"


def test_a_collector_that_comes_back_gets_what_it_missed(collector: Collector) -> None:
    reader = _Reader(1_000)
    export = UsageExport(reader, exporter(collector.protocol))
    collector.away = True
    waits = [export.step() for _ in range(4)]
    assert 0.8 <= waits[0] <= 1
    assert waits == sorted(waits)
    samples = {sample.metric.name: sample.value for sample in export.samples()}
    assert samples.pop("aigw.export.lag") > 1e6
    assert samples == {"aigw.export.failures": 4, "aigw.export.records": 0}
    assert (reader.position, reader.kept) == (BATCH, 0)
    collector.away = False
    while export.step() == 0:
        pass
    export.close()
    assert collector.record_ids() == ids(1_000)
    assert {sample.metric.name: sample.value for sample in export.samples()} == {
        "aigw.export.failures": 4,
        "aigw.export.records": 1_000,
        "aigw.export.lag": 0,
    }


def test_a_restart_goes_on_and_what_was_not_confirmed_comes_again_with_its_ids(
    collector: Collector,
) -> None:
    reader = _Reader(300)
    first = UsageExport(reader, exporter(collector.protocol))
    assert first.step() == 0
    before = reader.kept
    assert first.step() == 0
    second = UsageExport(_Reader(350, before), exporter(collector.protocol))
    while second.step() == 0:
        pass
    first.close()
    second.close()
    assert collector.record_ids() == [*ids(300), *ids(350)[200:]]
    sent = [record.SerializeToString() for record in collector.log_records]
    assert len(set(sent)) == 350


def test_a_record_makes_the_same_event_whenever_it_is_sent() -> None:
    one, other = log_record(RECORD), log_record(RECORD)
    assert (one.timestamp, one.observed_timestamp, one.attributes, one.body) == (
        other.timestamp,
        other.observed_timestamp,
        other.attributes,
        other.body,
    )


def reading(started_at: int, requests: float, counts: tuple[int, int]) -> Reading:
    labels = {"model": "m"}
    return Reading(
        started_at,
        [
            Family("c", "1", "", "counter", (), [Point(labels, requests)]),
            Family("g", "1", "", "gauge", (), [Point({}, 3)]),
            Family("h", "s", "", "histogram", (0.5,), [Point(labels, requests / 2, counts)]),
        ],
        began=7,
        own=[Family("own", "1", "", "counter", (), [Point(labels, requests)])],
    )


def test_numbers_arrive_as_they_are(collector: Collector) -> None:
    settings = MetricsExport(collector.protocol, 60, Temporality.CUMULATIVE)
    sink = MetricsExporter(settings)
    export = PeriodicMetrics(lambda: reading(5, 4, (1, 3)), sink, 60)
    stop = threading.Event()
    stop.set()
    export.run(stop)
    found = collector.newest()
    assert found["c"].sum.data_points[0].as_double == 4
    assert found["c"].sum.is_monotonic
    assert found["g"].gauge.data_points[0].as_double == 3
    point = found["h"].histogram.data_points[0]
    assert (list(point.bucket_counts), point.count, point.sum) == ([1, 3], 4, 2)
    assert point.start_time_unix_nano == 5
    assert not point.HasField("min")
    resource = collector.metric_exports[0].resource_metrics[0]
    assert attributes(resource.resource)["service.name"] == "ai-gateway"
    assert resource.scope_metrics[0].scope.name == "envoyproxy/ai-gateway"
    collector.away = True
    export.run(stop)
    export.close()
    assert [sample.value for sample in export.samples()] == [1]


def test_differences_add_up_over_failures_and_restarts() -> None:
    with running("http/protobuf") as collector, pytest.MonkeyPatch.context() as patch:
        for name, value in collector.environment.items():
            patch.setenv(name, value)
        sink = MetricsExporter(MetricsExport("http/protobuf", 60, Temporality.DELTA))
        assert sink.send(reading(5, 4, (1, 3)))
        collector.away = True
        assert not sink.send(reading(5, 6, (1, 5)))
        collector.away = False
        assert sink.send(reading(5, 7, (2, 5)))
        # Another data plane, which counts from zero, and more than the one before.
        assert sink.send(reading(50, 9, (4, 5)))
        sink.close()
        exports = [export.resource_metrics[0] for export in collector.metric_exports]
        sums, own, buckets = [], [], []
        for export in exports:
            by_name = {metric.name: metric for metric in export.scope_metrics[0].metrics}
            sums.append(by_name["c"].sum.data_points[0].as_double)
            own.append(by_name["own"].sum.data_points[0].as_double)
            buckets.append(list(by_name["h"].histogram.data_points[0].bucket_counts))
            assert by_name["g"].gauge.data_points[0].as_double == 3
        assert sums == [4, 3, 9]
        assert own == [4, 3, 2]
        assert buckets == [[1, 3], [1, 2], [4, 5]]


@pytest.mark.parametrize(
    ("variables", "option"),
    [
        ({}, ("grpc.enable_http_proxy", 0)),
        ({"HTTPS_PROXY": "http://proxy:1"}, ("grpc.http_proxy", "http://proxy:1")),
        ({"HTTP_PROXY": "http://proxy:1"}, ("grpc.enable_http_proxy", 0)),
        (
            {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "collector.test"},
            ("grpc.enable_http_proxy", 0),
        ),
    ],
)
def test_grpc_goes_through_the_proxy_of_the_environment(
    variables: dict[str, str], option: tuple[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.test:4317")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert otlp._proxy("METRICS") == (option,)
