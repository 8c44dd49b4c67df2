"""Files of a usage ledger, written as `docs/reference/usage.md` describes them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from aigw import _core

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAGIC = b"\xa1gw\x1f"
RECORD, LOSS, ROW, SUMMARY = 1, 2, 3, 4
START = 1_790_000_000
"""Seconds: a full hour is START - 800."""


def _table() -> list[int]:
    found = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        found.append(crc)
    return found


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frame(kind: int, content: dict[str, Any], number: int = 0) -> bytes:
    """One frame."""
    payload = json.dumps(content).encode()
    length = struct.pack("<I", len(payload))
    rest = struct.pack("<I", kind) + number.to_bytes(16, "little")
    crc = crc32c(length + rest + payload)
    return MAGIC + length + struct.pack("<I", crc) + rest + payload


def record(number: int, **more: object) -> dict[str, Any]:
    """A usage record."""
    return {
        "id": f"{number:032x}",
        "started_at": START * 10**9,
        "outcome": "completed",
        "backend": "default/openai",
        "route": "default/route",
        "routed_model": "gpt-4o",
        "usage": {"input_tokens": 1000, "output_tokens": 20, "total_tokens": 1020},
        "price": {"pico_usd": 2_700_000_000, "entry": "openai/gpt-4o", "source": "catalogue"},
        **more,
    }


def segment(directory: Path, *frames: bytes, name: str = "0190.1-00000000") -> Path:
    """A segment with these frames."""
    path = directory / f"{name}.seg"
    path.write_bytes(b"".join(frames))
    return path


def records(directory: Path) -> list[dict[str, Any]]:
    """All single records of a ledger."""
    reader = _core.LedgerRecords(directory)
    return [json.loads(text) for text in _all(reader)]


def _all(reader: _core.LedgerRecords) -> Iterable[bytes]:
    while found := reader.read(100):
        yield from found
