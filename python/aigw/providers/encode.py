"""JSON replies and server-sent events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aigw.providers.script import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aigw.providers.script import Headers

JSON_HEADERS: Headers = (("content-type", "application/json"),)
SSE_HEADERS: Headers = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
)


def json_bytes(value: object) -> bytes:
    """Compact JSON, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_reply(value: object, status: int = 200) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, JSON_HEADERS, json_bytes(value))


def sse_event(value: object, name: str | None = None) -> bytes:
    """One event with JSON data and, where given, an event name."""
    prefix = b"" if name is None else b"event: " + name.encode() + b"\n"
    return prefix + b"data: " + json_bytes(value) + b"\n\n"


def sse_reply(events: Iterable[bytes]) -> Reply:
    """A stream; each event is an HTTP chunk of its own."""
    return Reply(200, SSE_HEADERS, tuple(events))
