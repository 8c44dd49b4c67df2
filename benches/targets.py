"""The figures this project promises, and whether a run met them.

A target counts as missed only if the whole 95 % interval lies beyond it; between the two it is
open, and more rounds may decide it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from benches.stats import Estimate, bootstrap_median, paired_differences, paired_ratios
from benches.variants import (
    ENVOY,
    EXTPROC_GRPCIO,
    EXTPROC_NATIVE,
    MODULE,
    MODULE_1000,
    MODULE_5000,
)

if TYPE_CHECKING:
    from benches.scenarios import Sample

Samples: TypeAlias = dict[str, dict[str, list["Sample | None"]]]

PASSTHROUGH_CPU_RATIO = 1.3
CLOSED_LOOP_RATIO = 0.8
EXTPROC_CPU_RATIO = 4.5
EXTPROC_OVER_GRPCIO_RATIO = 0.6
BEDROCK_CPU_RATIO = 2.0
CHUNK_PASSTHROUGH_US = 12.0
CHUNK_TRANSLATED_US = 25.0
ROUTES_CPU_RATIO = 1.1
HALF_LOAD_P50_MS = 0.15
HALF_LOAD_P99_MS = 1.0
COLD_START_S = 1.0
IDLE_RESIDENT_MIB = 150.0
IDLE_STREAM_KIB = 20.0


class Comparison(Enum):
    """What a target's limit applies to."""

    RATIO = "x"  # variant over the other
    ADDED = "+"  # variant minus the other
    OWN = ""  # the variant alone


class Bound(Enum):
    """Which side of the limit is good."""

    AT_MOST = "<="
    AT_LEAST = ">="


class Verdict(Enum):
    """Outcome of a target."""

    MET = "met"
    OPEN = "open"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Target:
    """A promise: a figure of `variant` in `scenario`, against `other` unless it stands alone."""

    name: str
    scenario: str
    variant: str
    figure: str
    limit: float
    comparison: Comparison = Comparison.RATIO
    other: str = ENVOY
    bound: Bound = Bound.AT_MOST


TARGETS = (
    Target("module passthrough CPU", "passthrough-1k", MODULE, "cpu_us.envoy",
           PASSTHROUGH_CPU_RATIO),
    Target("module throughput", "closed-loop-1k", MODULE, "req_per_s",
           CLOSED_LOOP_RATIO, bound=Bound.AT_LEAST),
    Target("ext_proc CPU", "passthrough-1k", EXTPROC_NATIVE, "cpu_us.total",
           EXTPROC_CPU_RATIO),
    Target("ext_proc CPU against grpcio", "passthrough-1k", EXTPROC_NATIVE, "cpu_us.total",
           EXTPROC_OVER_GRPCIO_RATIO, other=EXTPROC_GRPCIO),
    Target("module Bedrock 16 KiB CPU", "bedrock-16k", MODULE, "cpu_us.envoy",
           BEDROCK_CPU_RATIO),
    Target("module CPU per chunk (µs)", "sse-50", MODULE, "cpu_us_per_chunk.envoy",
           CHUNK_PASSTHROUGH_US, Comparison.ADDED),
    Target("module CPU per translated chunk (µs)", "sse-50-bedrock", MODULE,
           "cpu_us_per_chunk.envoy", CHUNK_TRANSLATED_US, Comparison.ADDED),
    Target("module with 1,000 models CPU", "passthrough-1k", MODULE_1000, "cpu_us.envoy",
           ROUTES_CPU_RATIO, other=MODULE),
    Target("module with 5,000 models CPU", "passthrough-1k", MODULE_5000, "cpu_us.envoy",
           ROUTES_CPU_RATIO, other=MODULE),
    Target("module half load p50 (ms)", "half-load", MODULE, "p50_ms",
           HALF_LOAD_P50_MS, Comparison.ADDED),
    Target("module half load p99 (ms)", "half-load", MODULE, "p99_ms",
           HALF_LOAD_P99_MS, Comparison.ADDED),
    Target("cold start (s)", "cold-start", MODULE, "cold_start_s",
           COLD_START_S, Comparison.OWN),
    Target("idle memory of all processes (MiB)", "idle-memory", MODULE, "rss_mib.total",
           IDLE_RESIDENT_MIB, Comparison.OWN),
    Target("memory per idle stream (KiB)", "idle-streams-memory", MODULE,
           "kib_per_stream.total", IDLE_STREAM_KIB, Comparison.ADDED),
)  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """A target, what was measured, and the outcome."""

    target: Target
    estimate: Estimate | None
    verdict: Verdict


def judge(target: Target, samples: Samples) -> Judgement:
    """Compares a target with the samples of a run."""
    scenario = samples.get(target.scenario, {})
    own = figure(scenario.get(target.variant, []), target.figure)
    other = figure(scenario.get(target.other, []), target.figure)
    values = _compared(target.comparison, own, other)
    if not values:
        return Judgement(target, None, Verdict.NOT_MEASURED)
    estimate = bootstrap_median(values)
    return Judgement(target, estimate, verdict(target, estimate))


def _compared(
    comparison: Comparison, own: list[float | None], other: list[float | None]
) -> list[float]:
    match comparison:
        case Comparison.RATIO:
            return paired_ratios(own, other)
        case Comparison.ADDED:
            return paired_differences(own, other)
        case Comparison.OWN:
            return [value for value in own if value is not None]


def verdict(target: Target, estimate: Estimate) -> Verdict:
    """Missed when the whole interval is beyond the limit, met when the median is within it."""
    at_most = target.bound is Bound.AT_MOST
    beyond = estimate.low > target.limit if at_most else estimate.high < target.limit
    within = estimate.value <= target.limit if at_most else estimate.value >= target.limit
    if beyond:
        return Verdict.MISSED
    return Verdict.MET if within else Verdict.OPEN


def figure(rounds: list[Sample | None], name: str) -> list[float | None]:
    """One figure of every round; None where the round has none."""
    return [None if sample is None else sample.get(name) for sample in rounds]
