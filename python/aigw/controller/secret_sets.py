"""The Secrets that the pods of Gateways mount: configuration and certificates. Blocking.

Only metadata is read back: a hash in an annotation tells what a set holds, and the version of each
Secret whether somebody else has touched it.
"""

import base64
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aigw.controller.api import Api
from aigw.controller.authorities import Pair
from aigw.controller.bundle import (
    CONTENT,
    LABELS,
    PARTS,
    SIDES,
    base_name,
    bundle,
    client_name,
    content_of,
    labels_of,
    next_side,
    part_name,
)
from aigw.controller.certificates import Certificates
from aigw.controller.kinds import SECRET
from aigw.render.snapshot import Snapshot

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of a Secret."""

_BETWEEN_SECONDS = 5.0
_KEPT_SECONDS = 300.0
"""How long what an older index names is kept: kubelets take a while."""


@dataclass(slots=True)
class _Set:
    """What is known of the Secrets of one Gateway in one namespace."""

    versions: dict[str, str] = field(default_factory=dict)
    written_at: float = float("-inf")
    is_tidy: bool = False
    client: Pair | None = None
    trusted: bytes = b""


class SecretSets:
    """Writes what is not there, compared first. One thread at a time."""

    def __init__(self, api: Api, certificates: Certificates) -> None:
        """Nothing is known of what is there."""
        self._api = api
        self._certificates = certificates
        self._there: dict[Key, Json] = {}
        self._sets: dict[tuple[str, str], _Set] = {}

    def look(self, namespaces: Iterable[str]) -> None:
        """Sees which Secrets are there.

        Raises:
            ApiError: they cannot be listed.
        """
        self._there = {}
        for namespace in namespaces:
            for item in self._api.list_metadata(SECRET, namespace, LABELS[1]).items:
                metadata = item["metadata"]
                self._there[metadata["namespace"], metadata["name"]] = metadata

    def places(self) -> Collection[tuple[str, str]]:
        """Gateways (`<ns>/<name>`) and namespaces that there are Secrets of."""
        return {(_gateway(item), namespace) for (namespace, _), item in self._there.items()}

    def keep_client(self, gateway: str, namespace: str) -> None:
        """The certificate of a Gateway's pods, and whom they trust.

        Raises:
            ApiError: it cannot be written.
        """
        known = self._sets.setdefault((gateway, namespace), _Set())
        name = client_name(base_name(*gateway.split("/", 1)))
        is_there = self._is_as_written(known, namespace, name)
        if not is_there:
            known.client = self._read_client(namespace, name, known)
        now = datetime.now(UTC)
        trusted = self._certificates.trusted
        pair = self._certificates.client(gateway, known.client, now)
        if pair is known.client and trusted == known.trusted:
            return
        data = {"tls.crt": pair.chain, "tls.key": pair.key, "ca.crt": trusted}
        content = _secret(gateway, name, data)
        self._write(known, namespace, content)
        known.client, known.trusted = pair, trusted
        logger.info("%s: its pods in %s get a certificate", gateway, namespace)

    def keep_bundle(self, gateway: str, namespace: str, snapshot: Snapshot, now: float) -> bool:
        """The configuration; False: later, since it has been written a moment ago.

        Raises:
            ApiError: it cannot be written.
            TooLargeError: there are not enough slots.
        """
        known = self._sets.setdefault((gateway, namespace), _Set())
        place, name = gateway.split("/", 1)
        base = base_name(place, name)
        annotations = self._there.get((namespace, base), {}).get("annotations") or {}
        if base not in known.versions:
            self._recall(known, namespace, base)
        is_same = annotations.get(CONTENT) == content_of(snapshot)
        if is_same and all(self._is_as_written(known, namespace, item) for item in known.versions):
            if not known.is_tidy and now - known.written_at > _KEPT_SECONDS:
                self._tidy(known, gateway, namespace)
            return True
        if now - known.written_at < _BETWEEN_SECONDS:
            return False
        side = next_side(self._api.get(SECRET, namespace, base))
        made = bundle(place, name, snapshot, side)
        for secret in made:
            self._write(known, namespace, secret)
        known.written_at, known.is_tidy = now, False
        return True

    def collect(self, gateway: str, namespace: str) -> None:
        """Removes all Secrets of a Gateway in a namespace.

        Raises:
            ApiError: one cannot be deleted.
        """
        self._sets.pop((gateway, namespace), None)
        for (place, name), item in list(self._there.items()):
            if place == namespace and _gateway(item) == gateway:
                self._api.delete(SECRET, namespace, name, item["uid"])
                del self._there[place, name]
        logger.info("%s: its Secrets in %s are removed", gateway, namespace)

    def _tidy(self, known: _Set, gateway: str, namespace: str) -> None:
        """Removes parts that the index does not name: they may hold what nobody may have now."""
        base = base_name(*gateway.split("/", 1))
        found = self._api.get(SECRET, namespace, base)
        if found is not None:
            named = set(_parts_of(base, found))
            slots = {part_name(base, side, at) for side in SIDES for at in range(PARTS)}
            for name in slots - named:
                if (namespace, name) in self._there:
                    self._api.delete(SECRET, namespace, name)
                known.versions.pop(name, None)
        known.is_tidy = True

    def _recall(self, known: _Set, namespace: str, base: str) -> None:
        """What another leader has written is taken for right, if it is all there."""
        found = self._api.get(SECRET, namespace, base)
        if found is not None:
            for name in (base, *_parts_of(base, found)):
                there = self._there.get((namespace, name), {})
                known.versions[name] = there.get("resourceVersion", "")

    def _is_as_written(self, known: _Set, namespace: str, name: str) -> bool:
        there = self._there.get((namespace, name))
        return there is not None and there["resourceVersion"] == known.versions.get(name)

    def _read_client(self, namespace: str, name: str, known: _Set) -> Pair | None:
        found = self._api.get(SECRET, namespace, name)
        if found is None:
            return None
        try:
            data = {key: base64.b64decode(value) for key, value in found["data"].items()}
            pair = Pair(data["tls.crt"], data["tls.key"])
            known.trusted = data["ca.crt"]
        except (KeyError, ValueError, AttributeError):
            return None
        known.versions[name] = found["metadata"]["resourceVersion"]
        return pair

    def _write(self, known: _Set, namespace: str, content: Json) -> None:
        metadata = {**content["metadata"], "namespace": namespace}
        written = self._api.apply(SECRET, {**content, "metadata": metadata})
        name = metadata["name"]
        known.versions[name] = written["metadata"]["resourceVersion"]
        self._there[namespace, name] = written["metadata"]


def _parts_of(base: str, index: Json) -> list[str]:
    """Names of the parts that an index Secret names."""
    try:
        found = json.loads(base64.b64decode(index["data"]["index.json"]))
        return [part_name(base, found["side"], number) for number in range(found["parts"])]
    except (KeyError, ValueError, TypeError):
        return []


def _gateway(metadata: Mapping[str, Any]) -> str:
    labels = metadata.get("labels") or {}
    return "/".join(str(labels.get(name, "")) for name in LABELS)


def _secret(gateway: str, name: str, data: Mapping[str, bytes]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels_of(*gateway.split("/", 1))},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
