"""A snapshot as Secrets that pods mount: fixed slots, so that a pod need not change with its size.

Two sides take turns, and the index that says which one counts is written last: whoever reads in
between has a whole snapshot, the old one or the new one.
"""

import base64
import hashlib
import json
from typing import Any

from aigw.errors import AigwError
from aigw.render.snapshot import Snapshot, packed

Json = dict[str, Any]

PART_BYTES = 716_800
"""A Secret has room for 1 MiB in base64."""
PARTS = 4
"""Slots of one side."""
SIDES = ("a", "b")
_LONGEST_NAME = 253
CONTENT = "aigateway.envoyproxy.io/content"
"""Annotation of the index: what all of it holds, but not when it was made."""
LABELS = ("aigateway.envoyproxy.io/gateway-namespace", "aigateway.envoyproxy.io/gateway-name")


class TooLargeError(AigwError):
    """A configuration has no room in its Secrets."""


def base_name(namespace: str, gateway: str) -> str:
    """Name of the index: `<gateway>-<namespace>-<12 hex digits>`, cut in front of the digits."""
    digits = hashlib.sha256(f"{namespace}/{gateway}".encode()).hexdigest()[:12]
    front = f"{gateway}-{namespace}"[: _LONGEST_NAME - 13].strip("-")
    return f"{front}-{digits}"


def part_name(base: str, side: str, number: int) -> str:
    """Name of a slot, counted over both sides from 000."""
    return _beside(base, f"-part-{SIDES.index(side) * PARTS + number:03}")


def client_name(base: str) -> str:
    """Name of the Secret with the certificate of the pods."""
    return _beside(base, "-client")


def labels_of(namespace: str, gateway: str) -> Json:
    """The labels of all Secrets of a Gateway's pods."""
    return dict(zip(LABELS, (namespace, gateway), strict=True))


def _beside(base: str, end: str) -> str:
    front, _, digits = base.rpartition("-")
    front = front[: _LONGEST_NAME - len(end) - len(digits) - 1].strip("-")
    return f"{front}-{digits}{end}"


def bundle(namespace: str, gateway: str, snapshot: Snapshot, side: str) -> tuple[Json, ...]:
    """The Secrets of a Gateway in the order in which they are written: the index is the last.

    Raises:
        TooLargeError: there are not enough slots.
    """
    text = packed(snapshot)
    cut = [text[at : at + PART_BYTES] for at in range(0, len(text), PART_BYTES)]
    if len(cut) > PARTS:
        message = f"the configuration needs {len(cut)} Secrets, and {PARTS} are mounted"
        raise TooLargeError(message)
    base = base_name(namespace, gateway)
    labels = labels_of(namespace, gateway)
    parts = [
        _secret(part_name(base, side, number), labels, "chunk", part)
        for number, part in enumerate(cut)
    ]
    digest = hashlib.sha256(text).hexdigest()
    index = {"side": side, "parts": len(cut), "sha256": digest, "generation": snapshot.generation}
    index_text = json.dumps(index, sort_keys=True).encode()
    written = _secret(base, labels, "index.json", index_text)
    written["metadata"]["annotations"] = {CONTENT: content_of(snapshot)}
    return (*parts, written)


def content_of(snapshot: Snapshot) -> str:
    """A hash of all that a snapshot holds."""
    return hashlib.sha256("".join(sorted(snapshot.pieces)).encode()).hexdigest()[:32]


def next_side(index: Json | None) -> str:
    """The side that is not in force, by the index Secret as it is now."""
    try:
        text = base64.b64decode((index or {})["data"]["index.json"])
        used = json.loads(text)["side"]
    except (KeyError, ValueError, TypeError):
        return SIDES[0]
    return SIDES[1] if used == SIDES[0] else SIDES[0]


def _secret(name: str, labels: Json, key: str, content: bytes) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {**labels}},
        "type": "Opaque",
        "data": {key: base64.b64encode(content).decode()},
    }
