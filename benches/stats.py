"""Statistics of a run: paired comparisons with an interval, and latency histograms.

Rounds of different variants are paired by their number, because what else the machine does
changes between rounds far more than between two neighbours of one round.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 20_240_607


@dataclass(frozen=True)
class Estimate:
    """A median with its bootstrap interval, in the unit of the values it was made from.

    Attributes:
        value: Median of the rounds.
        low: Lower end of the interval.
        high: Upper end of the interval.
        rounds: How many rounds it rests on.
    """

    value: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Histogram:
    """Latencies as ascending pairs of a bucket's highest value (µs) and its count."""

    buckets: tuple[tuple[float, int], ...]

    @classmethod
    def parse(cls, pairs: object) -> Histogram:
        """Reads the `[[µs, count], ...]` of a load report.

        Raises:
            ValueError: `pairs` has another shape, descends, or counts below one.
        """
        if not isinstance(pairs, list):
            message = f"histogram: expected a list, got {type(pairs).__name__}"
            raise ValueError(message)  # noqa: TRY004 - one error for any malformed report
        buckets = tuple(_bucket(pair) for pair in pairs)
        edges = [edge for edge, _ in buckets]
        if edges != sorted(set(edges)):
            message = "histogram: buckets do not ascend"
            raise ValueError(message)
        return cls(buckets)

    @classmethod
    def merge(cls, histograms: Iterable[Histogram]) -> Histogram:
        """One histogram over all values of several."""
        counts: dict[float, int] = {}
        for histogram in histograms:
            for edge, count in histogram.buckets:
                counts[edge] = counts.get(edge, 0) + count
        return cls(tuple(sorted(counts.items())))

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(count for _, count in self.buckets)

    def percentile(self, percent: float) -> float:
        """Highest value (µs) of the bucket that holds the percentile.

        Raises:
            ValueError: The histogram is empty.
        """
        if not self.buckets:
            message = "histogram: no values"
            raise ValueError(message)
        rank = self.count * percent / 100
        seen = 0
        for edge, count in self.buckets:
            seen += count
            if seen >= rank:
                return edge
        return self.buckets[-1][0]


def _bucket(pair: object) -> tuple[float, int]:
    match pair:
        case [int() | float() as edge, int() as count] if count > 0:
            return float(edge), count
        case _:
            message = f"histogram: not a [value, count] pair: {pair!r}"
            raise ValueError(message)


def bootstrap_median(values: Sequence[float]) -> Estimate:
    """Median of `values` with the percentile bootstrap interval; always the same for the same.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        message = "no rounds to compare"
        raise ValueError(message)
    # Not for secrets: a fixed seed makes a stored run reproducible.
    source = random.Random(SEED)  # noqa: S311
    medians = sorted(
        statistics.median(source.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Estimate(
        statistics.median(values), medians[tail], medians[RESAMPLES - 1 - tail], len(values)
    )


def paired_ratios(values: Sequence[float | None], baseline: Sequence[float | None]) -> list[float]:
    """`values` over `baseline`, round by round; rounds without both are left out."""
    return _paired(values, baseline, lambda value, base: value / base if base else None)


def paired_differences(
    values: Sequence[float | None], baseline: Sequence[float | None]
) -> list[float]:
    """`values` minus `baseline`, round by round; rounds without both are left out."""
    return _paired(values, baseline, lambda value, base: value - base)


def _paired(
    values: Sequence[float | None],
    baseline: Sequence[float | None],
    combine: Callable[[float, float], float | None],
) -> list[float]:
    pairs = zip(values, baseline, strict=False)
    combined = (
        combine(value, base) for value, base in pairs if value is not None and base is not None
    )
    return [value for value in combined if value is not None]
