"""Request headers that are kept as attributes of records, metrics and logs."""

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]
"""(header, attribute) pairs; headers are lower case."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Which headers become attributes, by signal."""

    metrics: Pairs = ()
    logs: Pairs = ()
