"""`aigw usage` over a month of sums: `python -m benches.usage [--requests N]`.

Writes the rollups of 30 days into a temporary directory and times the command, which is to take
at most 10 s over 20 million requests, in memory that does not depend on their number.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOURS = 30 * 24
ROWS = 500
COUNTS = (
    "input_tokens", "cached_input_tokens", "cache_creation_input_tokens", "output_tokens",
    "reasoning_tokens", "total_tokens",
)  # fmt: skip
_CRC = [0] * 256
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = (_crc >> 1) ^ (0x82F63B78 if _crc & 1 else 0)
    _CRC[_byte] = _crc


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _frame(kind: int, content: object) -> bytes:
    payload = json.dumps(content, separators=(",", ":")).encode()
    length, rest = struct.pack("<I", len(payload)), struct.pack("<I", kind) + bytes(16)
    return (
        b"\xa1gw\x1f"
        + length
        + struct.pack("<I", _crc32c(length + rest + payload))
        + rest
        + payload
    )


def _row(hour: int, number: int, requests: int) -> object:
    key = {
        "hour": hour,
        "model": f"provider/model-{number % 40}",
        "backend": f"default/backend-{number % 5}",
        "route": "default/route",
        "attributes": {"team": f"team-{number % 25}", "user": f"user-{number}"},
        "outcome": number % 4,
    }
    counts = dict.fromkeys(COUNTS, 1000 * requests)
    return {
        "key": key,
        "sums": {"requests": requests, **counts, "pico_usd": str(requests * 10**10)},
    }


def _write(directory: Path, requests: int) -> int:
    """Files of the same content, a file for each hour: what differs costs nothing to read."""
    hour = int(time.time()) // 3600 - 1
    each = -(-requests // (HOURS * ROWS))
    frames = [_frame(4, {"from_hour": hour, "to_hour": hour, "records": each * ROWS})]
    frames += [_frame(3, _row(hour, number, each)) for number in range(ROWS)]
    content = b"".join(frames)
    for number in range(HOURS):
        (directory / f"0190aaaabbbb.00000001-{number:08}.rollup").write_bytes(content)
    return each * ROWS * HOURS


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        total = _write(Path(name), options.requests)
        command = [sys.executable, "-m", "aigw", "usage", "--ledger", name, "--output", "json"]
        for _ in range(3):
            begin = time.monotonic()
            found = subprocess.run([*command, "--since", "30d"], check=True, capture_output=True)
            seconds = time.monotonic() - begin
            assert json.loads(found.stdout)["total"]["requests"] == total
            size = sum(path.stat().st_size for path in Path(name).iterdir())
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            print(
                f"{total:,} requests in {HOURS * ROWS:,} rows, {size >> 20} MiB: "
                f"{seconds:.2f} s, {memory >> 10} MiB resident at most"
            )


if __name__ == "__main__":
    main()
