"""What a header must be."""

from dataclasses import dataclass
from enum import StrEnum


class MatchType(StrEnum):
    """How a header value is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One header condition; `name` is lower case, expressions match the whole value."""

    name: str
    value: str
    type: MatchType = MatchType.EXACT
