"""The configuration in mounted Secrets: the first one, and one for while the controller is away.

    index.json                {"side": "a", "parts": 2, "sha256": "..."}
    parts/a-0, parts/a-1, ... the packed snapshot, cut; side b is written while a is in force

The files are synchronised by the kubelet, each Secret for itself and up to a minute late: what
does not fit together is not used.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aigw.render.snapshot import SnapshotError, unpacked

Manifest = Mapping[str, Any]


class MountedSnapshot:
    """Reads the folder when it has changed."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._last = b""

    def newer(self) -> tuple[Manifest, Mapping[str, bytes]] | None:
        """A snapshot that is whole and was not returned before."""
        try:
            text = (self._folder / "index.json").read_bytes()
            if text == self._last:
                return None
            index = json.loads(text)
            parts = (
                self._folder / "parts" / f"{index['side']}-{number}"
                for number in range(int(index["parts"]))
            )
            packed = b"".join(part.read_bytes() for part in parts)
            if hashlib.sha256(packed).hexdigest() != index["sha256"]:
                return None
            found = unpacked(packed)
        except (OSError, ValueError, KeyError, TypeError, SnapshotError):
            return None
        self._last = text
        return found
