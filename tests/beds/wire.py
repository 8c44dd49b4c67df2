"""Protobuf messages compared field by field, those included that nobody here has a name for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from aigw.extension.messages import message

if TYPE_CHECKING:
    from collections.abc import Iterator


def differences(before: bytes, after: bytes, type_name: str) -> list[str]:
    """Paths of fields whose values are not the same multiset; order of fields does not count."""
    return sorted(set(_differences(before, after, message(type_name).DESCRIPTOR)))  # type: ignore[attr-defined]


def _differences(
    before: bytes,
    after: bytes,
    descriptor: Any,  # noqa: ANN401 - of protobuf
) -> Iterator[str]:
    old, new = _by_number(before), _by_number(after)
    for number in sorted(old.keys() | new.keys()):
        field = descriptor.fields_by_number.get(number)
        name = field.name if field else f"unknown field {number}"
        inner = field.message_type if field else None
        if inner is None or len(old[number]) != len(new[number]):
            if Counter(old[number]) != Counter(new[number]):
                yield name
            continue
        pairs = zip(old[number], new[number], strict=True)
        if inner.GetOptions().map_entry:
            # An entry begins with its key, and the order of entries means nothing.
            pairs = zip(
                *(sorted(each, key=_key) for each in (old[number], new[number])), strict=True
            )
        for one, other in pairs:
            yield from (f"{name}.{path}" for path in _differences(one, other, inner))


def _key(entry: bytes) -> bytes:
    return b"".join(_by_number(entry)[1])


def _by_number(data: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            end = _varint(data, at)[1]
        elif kind == 2:
            size, at = _varint(data, at)
            end = at + size
        else:
            end = at + {1: 8, 5: 4}[kind]
        found[number].append(data[at:end])
        at = end
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
