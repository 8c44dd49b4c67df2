"""Snapshots of the configuration into the runtime directory, from which the core reads."""

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aigw import files
from aigw.render.snapshot import assembled

logger = logging.getLogger(__name__)


class RuntimeFiles:
    """Writes snapshots, newer ones only, and reads what the core says about them."""

    def __init__(self, runtime: Path) -> None:
        """The directory is there already."""
        self._runtime = runtime
        self._pieces: dict[str, bytes] = {}
        self._made_at = -1
        self.generation = ""
        """That of the newest snapshot; empty before the first one."""

    @property
    def known(self) -> Collection[str]:
        """Names of the pieces that are here."""
        return self._pieces.keys()

    def take(self, manifest: Mapping[str, Any], pieces: Mapping[str, bytes]) -> bool:
        """Writes a snapshot, of which some pieces may be here already; False: it is an older one.

        Raises:
            SnapshotError: it is incomplete or damaged.
            OSError: it cannot be written.
        """
        made_at = int(manifest.get("made_at", 0))
        if made_at < self._made_at:
            return False
        all_pieces = {**self._pieces, **pieces}
        config, credentials = assembled(manifest, all_pieces)
        # First the credentials: what the config names is looked up there.
        files.replace(self._runtime / "credentials.json", credentials)
        files.replace(self._runtime / "config.json", config)
        names = {*manifest["config"], manifest["credentials"]}
        self._pieces = {name: all_pieces[name] for name in names}
        self._made_at = made_at
        self.generation = str(manifest["generation"])
        return True

    def in_force(self) -> tuple[str, str]:
        """The generation that the core has, and why it does not have the newest (or nothing)."""
        try:
            found = json.loads((self._runtime / "status.json").read_bytes())
            return str(found["generation"]), str(found["error"] or "")
        except (OSError, ValueError, KeyError, TypeError):
            return "", ""
