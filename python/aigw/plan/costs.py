"""What requests cost: numbers that become metadata, and prices in money."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CostType(StrEnum):
    """Kinds of numbers that become metadata."""

    INPUT = "InputToken"
    CACHED_INPUT = "CachedInputToken"
    CACHE_CREATION_INPUT = "CacheCreationInputToken"
    OUTPUT = "OutputToken"
    TOTAL = "TotalToken"
    REASONING = "ReasoningToken"
    CEL = "CEL"


@dataclass(frozen=True, slots=True)
class Cost:
    """Write the number `type` under `metadata_key` while a response comes.

    `cel` is the expression of the type CEL.
    """

    metadata_key: str
    type: CostType
    cel: str = ""


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """A price of a Gateway's own: of `backend` (`<ns>/<name>`, empty: all), `model` (empty: all).

    `rates` are in pico-USD by the core's names for them: per token, `request` for each request.
    """

    backend: str
    model: str
    rates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Billing:
    """What the GatewayConfig of a Gateway says about money; `source` is its name."""

    costs: tuple[Cost, ...] = ()
    prices: tuple[OwnPrice, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class PriceLists:
    """Prices of providers by id, in the core's form; `source` says whose and of which day."""

    source: str = ""
    lists: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
