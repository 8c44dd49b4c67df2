"""What all routes add to a mapping of the plan."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Merged(Generic[T]):
    """One mapping of many, in their order.

    Where only values are others than the last time, only these are looked at.
    """

    def __init__(self) -> None:
        """Nothing is merged yet."""
        self._parts: list[Mapping[str, T]] = []
        self._whole: dict[str, T] = {}

    def of(self, parts: list[Mapping[str, T]]) -> dict[str, T]:
        """All of `parts`; no two of them have a name in common."""
        last = self._parts
        changed = [both for both in zip(last, parts, strict=False) if both[0] is not both[1]]
        if len(last) == len(parts) and all([*old] == [*new] for old, new in changed):
            values = {name: value for _, new in changed for name, value in new.items()}
            self._whole = {**self._whole, **values}
        else:
            self._whole = {name: value for part in parts for name, value in part.items()}
        self._parts = parts
        return self._whole
