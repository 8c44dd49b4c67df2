"""Writes AWS event-stream messages (`application/vnd.amazon.eventstream`).

Format: the "Event stream encoding" page of the Amazon Transcribe and S3 Select documentation: a
prelude of total length and header length with its CRC-32, headers, payload, CRC-32 of all.
"""

from __future__ import annotations

import struct
import zlib

from aigw.providers.encode import json_bytes

CONTENT_TYPE = "application/vnd.amazon.eventstream"
STRING_TYPE = 7


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message with string headers."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    total = 12 + len(packed) + len(payload) + 4
    prelude = struct.pack(">II", total, len(packed))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return frame + struct.pack(">I", zlib.crc32(frame))


def event(event_type: str, payload: object) -> bytes:
    """A modelled event with a JSON payload."""
    headers = {
        ":event-type": event_type,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return message(headers, json_bytes(payload))


def exception(exception_type: str, text: str) -> bytes:
    """A modelled exception, such as `throttlingException`, in the middle of a stream."""
    headers = {
        ":exception-type": exception_type,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json_bytes({"message": text}))


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    sizes = struct.pack(">BH", STRING_TYPE, len(raw_value))
    return bytes([len(raw_name)]) + raw_name + sizes + raw_value
