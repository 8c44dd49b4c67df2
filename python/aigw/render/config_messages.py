"""Messages of the stream that brings a data plane its configuration.

    data plane ─▶ {"hello": {"gateway", "node", "known": [piece, ...]}}
    data plane ◀─ {"manifest": {...}}, then the pieces that it lacks; again at each change
    data plane ─▶ {"report": {"generation", "error"}}

A message is one byte that says which kind it is, then JSON, or the name of a piece and the piece.
"""

from collections.abc import Mapping
from typing import Any

import orjson

SERVICE = "aigw.config.v1.Configurations"
METHOD = "Follow"
IDENTITY = "aigw://gateway/"
"""URI in the certificate of a data plane, before `<ns>/<gateway>`."""

_JSON, _PIECE = b"\x00", b"\x01"
_NAME_BYTES = 32
_MAX_MESSAGE_BYTES = 64 << 20
_KEEPALIVE_MS = 20_000

OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", _KEEPALIVE_MS // 2),
    ("grpc.http2.max_pings_without_data", 0),
)
"""Of both ends: a dead connection is noticed, an idle one stays."""


def written(**members: Any) -> bytes:  # noqa: ANN401 - JSON values
    """A message of JSON."""
    return _JSON + orjson.dumps(members)


def read(message: bytes) -> Mapping[str, Any]:
    """The members of a message of JSON; nothing where it is another."""
    if message[:1] != _JSON:
        return {}
    try:
        found = orjson.loads(message[1:])
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def piece_message(name: str, piece: bytes) -> bytes:
    """A message with a piece."""
    return _PIECE + bytes.fromhex(name) + piece


def piece_of(message: bytes) -> tuple[str, bytes] | None:
    """Name and content of a piece; None for another message."""
    if message[:1] != _PIECE:
        return None
    return message[1 : 1 + _NAME_BYTES].hex(), message[1 + _NAME_BYTES :]
