"""The core's files for one data plane, in pieces for their way there. Pure.

A snapshot is a manifest of pieces, each named after its content: a data plane that has most of
them already gets the others only. Backends are spread over pieces by their names, so a change of
one route changes one of them.

    {"version": 1, "generation": "...", "made_at": 1767225600000,
     "config": ["<sha256>", ...], "credentials": "<sha256>"}
"""

import hashlib
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from aigw.errors import AigwError

Json = dict[str, Any]

VERSION = 1
_SPREAD = 64
_LEVEL = 6
_LARGEST = 256 << 20


class SnapshotError(AigwError):
    """A snapshot is incomplete or damaged, or of a version that is not read here."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Pieces, compressed, by the SHA-256 of what they hold. Credentials are among them.

    `made_at` is in milliseconds of Unix time: of two snapshots on different ways the later counts.
    """

    generation: str
    made_at: int
    config: tuple[str, ...]
    credentials: str
    pieces: Mapping[str, bytes] = field(repr=False)

    @property
    def manifest(self) -> Json:
        """What to ask for, and how to put it together."""
        return {
            "version": VERSION,
            "generation": self.generation,
            "made_at": self.made_at,
            "config": list(self.config),
            "credentials": self.credentials,
        }

    def missing(self, known: Collection[str]) -> Mapping[str, bytes]:
        """The pieces that somebody who knows these does not have."""
        return {name: piece for name, piece in self.pieces.items() if name not in known}


class Cutter:
    """Makes snapshots again and again: pieces that stay the same are not compressed again."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: Mapping[str, bytes] = {}

    def snapshot(self, config: Json, credentials: Json, made_at: int) -> Snapshot:
        """The files in pieces."""
        found: dict[str, bytes] = {}
        names = [self._piece(part, found) for part in _parts(config)]
        secret = self._piece(credentials, found)
        self._known = found
        return Snapshot(str(config["generation"]), made_at, tuple(names), secret, found)

    def _piece(self, content: Json, found: dict[str, bytes]) -> str:
        text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        name = hashlib.sha256(text).hexdigest()
        found[name] = self._known.get(name) or zlib.compress(text, _LEVEL)
        return name


def _parts(config: Json) -> list[Json]:
    """The document without its backends, then these."""
    spread: list[Json] = [{} for _ in range(_SPREAD)]
    for name, backend in config["backends"].items():
        place = zlib.crc32(name.partition("@")[0].encode()) % _SPREAD
        spread[place][name] = backend
    rest = {name: value for name, value in config.items() if name != "backends"}
    return [rest, *(part for part in spread if part)]


def assembled(manifest: Mapping[str, Any], pieces: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """The texts of the two files: filter config and credentials.

    Raises:
        SnapshotError: something is missing or damaged.
    """
    if manifest.get("version") != VERSION:
        message = f"snapshot: version {manifest.get('version')} is not supported"
        raise SnapshotError(message)
    first, *others = (orjson.loads(opened(name, pieces)) for name in manifest["config"])
    backends = {name: value for part in others for name, value in part.items()}
    config = orjson.dumps({**first, "backends": backends})
    return config, opened(manifest["credentials"], pieces)


def opened(name: str, pieces: Mapping[str, bytes]) -> bytes:
    """What a piece holds.

    Raises:
        SnapshotError: it is missing or damaged.
    """
    piece = pieces.get(name)
    if piece is None:
        message = f"snapshot: the piece {name[:12]} is missing"
        raise SnapshotError(message)
    opener = zlib.decompressobj()
    try:
        text = opener.decompress(piece, _LARGEST)
    except zlib.error:
        text = b""
    if hashlib.sha256(text).hexdigest() != name:
        message = f"snapshot: the piece {name[:12]} is damaged"
        raise SnapshotError(message)
    return text


def packed(snapshot: Snapshot) -> bytes:
    """All of it as one text: the length of the manifest, the manifest, names and pieces."""
    manifest = orjson.dumps(snapshot.manifest)
    parts = [len(manifest).to_bytes(4, "big"), manifest]
    for name, piece in snapshot.pieces.items():
        parts += [bytes.fromhex(name), len(piece).to_bytes(4, "big"), piece]
    return b"".join(parts)


def unpacked(text: bytes) -> tuple[Json, Mapping[str, bytes]]:
    """Manifest and pieces of a packed snapshot.

    Raises:
        SnapshotError: it is cut off or damaged.
    """
    end = 4 + int.from_bytes(text[:4], "big")
    pieces: dict[str, bytes] = {}
    at = end
    while at < len(text):
        name, size = text[at : at + 32].hex(), int.from_bytes(text[at + 32 : at + 36], "big")
        pieces[name] = text[at + 36 : at + 36 + size]
        at += 36 + size
    try:
        manifest = orjson.loads(text[4:end])
    except orjson.JSONDecodeError:
        manifest = None
    if at != len(text) or not isinstance(manifest, dict):
        message = "snapshot: it is damaged"
        raise SnapshotError(message)
    return manifest, pieces
