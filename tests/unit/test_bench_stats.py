"""The benchmark harness: its statistics, its reports and its accounting of processes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benches import configs, plot, processes, stats, targets, traffic
from benches.loadgen import LoadReport, MeasurementError
from benches.targets import Bound, Comparison, Target, Verdict


def report(**changes: object) -> str:
    percentiles = {"p50": 500.0, "p90": 900.0, "p99": 1500.0}
    document: dict[str, object] = {
        "requests": 100,
        "rate": 50.0,
        "latency_us": percentiles,
        "first_byte_us": percentiles,
        "latency_histogram_us": [[500.0, 60], [1500.0, 40]],
        "events": 0,
        "streams": {"completed": 0, "truncated": 0},
        "errors": {},
    }
    return json.dumps(document | changes)


def test_ratios_pair_the_rounds_and_leave_out_the_failed_ones() -> None:
    assert stats.paired_ratios([2.0, None, 6.0, 1.0], [1.0, 1.0, 2.0, None]) == [2.0, 3.0]
    assert stats.paired_differences([2.0, 5.0], [1.0, 2.0, 9.0]) == [1.0, 3.0]


def test_a_ratio_to_nothing_is_left_out() -> None:
    assert stats.paired_ratios([1.0, 1.0], [0.0, 2.0]) == [0.5]


def test_the_interval_holds_the_median_and_is_the_same_each_time() -> None:
    values = [1.0, 1.1, 0.9, 1.2, 1.05, 0.95, 1.3]
    estimate = stats.bootstrap_median(values)
    assert estimate == stats.bootstrap_median(values)
    assert estimate.value == 1.05
    assert 0.9 <= estimate.low < estimate.value < estimate.high <= 1.3
    assert estimate.rounds == 7


def test_equal_rounds_leave_no_doubt() -> None:
    estimate = stats.bootstrap_median([2.0] * 5)
    assert (estimate.low, estimate.value, estimate.high) == (2.0, 2.0, 2.0)


def test_an_interval_needs_a_round() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        stats.bootstrap_median([])


def test_a_histogram_gives_the_bucket_of_a_percentile() -> None:
    histogram = stats.Histogram.parse([[100, 50], [200.5, 49], [900, 1]])
    assert histogram.count == 100
    assert histogram.percentile(50) == 100
    assert histogram.percentile(51) == 200.5
    assert histogram.percentile(99) == 200.5
    assert histogram.percentile(100) == 900


def test_merged_histograms_count_all_values() -> None:
    parts = [stats.Histogram.parse([[1, 1], [3, 1]]), stats.Histogram.parse([[2, 5], [3, 1]])]
    assert stats.Histogram.merge(parts).buckets == ((1.0, 1), (2.0, 5), (3.0, 2))


@pytest.mark.parametrize("pairs", [None, [[1]], [[1, 0]], [["a", 1]], [[2, 1], [1, 1]]])
def test_a_malformed_histogram_is_refused(pairs: object) -> None:
    with pytest.raises(ValueError, match="histogram"):
        stats.Histogram.parse(pairs)


def test_a_load_report_is_read_in_milliseconds() -> None:
    parsed = LoadReport.parse(report())
    assert parsed.latency_ms["p99"] == 1.5
    assert parsed.latencies.count == 100


@pytest.mark.parametrize(
    "changes",
    [
        {"errors": {"timeout": 2}},
        {"streams": {"completed": 90, "truncated": 10}},
        {"requests": 0},
        {"latency_us": None},
    ],
)
def test_a_round_with_failures_or_a_malformed_report_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MeasurementError):
        LoadReport.parse(report(**changes))


def judged(values: list[float], bound: Bound, limit: float) -> Verdict:
    target = Target("t", "s", "v", "f", limit, Comparison.RATIO, "base", bound)
    samples: targets.Samples = {
        "s": {"v": [{"f": value} for value in values], "base": [{"f": 1.0} for _ in values]}
    }
    return targets.judge(target, samples).verdict


def test_a_target_is_missed_only_if_the_whole_interval_is_beyond_it() -> None:
    assert judged([1.5] * 9, Bound.AT_MOST, 1.3) is Verdict.MISSED
    assert judged([1.2, 1.4, 1.4, 1.2, 1.4], Bound.AT_MOST, 1.3) is Verdict.OPEN
    assert judged([1.2] * 9, Bound.AT_MOST, 1.3) is Verdict.MET
    assert judged([0.5] * 9, Bound.AT_LEAST, 0.8) is Verdict.MISSED
    assert judged([0.9] * 9, Bound.AT_LEAST, 0.8) is Verdict.MET


def test_a_target_without_rounds_is_not_measured() -> None:
    assert targets.judge(targets.TARGETS[0], {}).verdict is Verdict.NOT_MEASURED


def test_cpu_time_agrees_with_the_process_table() -> None:
    pid = os.getpid()
    total = processes.cpu_seconds([pid], ("python",))[processes.TOTAL]
    assert total == pytest.approx(processes.stat_cpu_seconds(pid), rel=0.1, abs=0.1)


def test_memory_of_this_process_is_accounted_under_its_name() -> None:
    measured = processes.memory([os.getpid()], ("python",))
    assert measured["python"].rss > 1000
    assert measured["python"].pss <= measured["python"].rss


@pytest.mark.parametrize("kind", [traffic.CHAT_1K, traffic.STREAM_1K, traffic.BEDROCK_16K])
def test_request_bodies_have_their_size(kind: traffic.Traffic) -> None:
    body = kind.body()
    assert len(body) == kind.size
    assert json.loads(body)["model"] == kind.model
    assert (b'"stream":true' in body) == (kind.reply == "stream")


def test_both_configurations_name_the_same_ports_and_log() -> None:
    addresses = configs.Addresses(20001, 20002, "/tmp/access.log")  # noqa: S108
    resources = configs.gateway(addresses)
    for text in (configs.envoy_alone(addresses), resources):
        assert "20001" in text
        assert "20002" in text
        assert "/tmp/access.log" in text  # noqa: S108
    kinds = [json.loads(part)["kind"] for part in resources.split("---\n")]
    assert kinds.count("AIServiceBackend") == 2
    assert kinds.count("Secret") == 2


def test_the_chart_names_each_variant() -> None:
    sample = {"cpu_us.envoy": 100.0, "cpu_us.total": 150.0}
    chart = plot.draw(
        {
            "samples": {"passthrough-1k": {"envoy": [sample], "a<b": [sample, None]}},
            "scenarios": {"passthrough-1k": "1 KiB"},
            "machine": {"cores": 2},
            "commit": "abc",
        }
    )
    assert chart.startswith("<svg")
    assert "a&lt;b" in chart
