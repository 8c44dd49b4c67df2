"""Envoy's messages, in a descriptor pool of our own.

`proto/*.proto` describe what is read or written, with Envoy's names and numbers; `scripts/gen.py`
compiles them into `xds.binpb`. What they do not describe is kept as it came. The pool is no part of
protobuf's default one, so other packages may bring Envoy's whole API.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from aigw.render.envoy.names import TYPE, Json

Message: TypeAlias = Any
"""A message of the pool: its fields are not known to type checkers."""

_FILE = Path(__file__).with_name("xds.binpb")


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(_FILE.read_bytes()).file:
        pool.Add(file)
    return pool


@cache
def message(name: str) -> Callable[..., Message]:
    """The class of a message by its full name."""
    found: Callable[..., Message] = message_factory.GetMessageClass(
        _pool().FindMessageTypeByName(name)
    )
    return found


def parsed(name: str, data: bytes) -> Message:
    """A message from its bytes.

    Raises:
        DecodeError: They are no such message.
    """
    found = message(name)()
    found.MergeFromString(data)
    return found


def from_json(name: str, value: Json) -> Message:
    """A message from what the renderer makes."""
    return json_format.ParseDict(value, message(name)(), descriptor_pool=_pool())


def any_of(value: Json) -> Message:
    """An `Any` from JSON with `@type`."""
    return from_json("google.protobuf.Any", value)


def packed(found: Message) -> Message:
    """A message as `Any`, the same bytes each time."""
    packing = message("google.protobuf.Any")()
    packing.type_url = TYPE + found.DESCRIPTOR.full_name
    packing.value = encoded(found)
    return packing


def unpacked(name: str, packing: Message) -> Message | None:
    """What an `Any` holds, if it is of this type."""
    if packing.type_url != TYPE + name:
        return None
    return parsed(name, packing.value)


def encoded(found: Message) -> bytes:
    """The bytes of a message: the order of maps is fixed."""
    data: bytes = found.SerializeToString(deterministic=True)
    return data
