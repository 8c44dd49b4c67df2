"""The Secrets that pods mount: when they are written, and when they go."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from aigw.controller import bundle as bundles
from aigw.controller.api import Page
from aigw.controller.bundle import TooLargeError, base_name, client_name, part_name
from aigw.controller.certificates import Certificates, Place
from aigw.controller.conditions import Condition, also
from aigw.controller.secret_sets import SecretSets
from aigw.render.snapshot import Cutter, Snapshot

if TYPE_CHECKING:
    from aigw.controller.api import Api
    from aigw.controller.kinds import Kind

Json = dict[str, Any]
EDGE, PODS = "default/edge", "envoys"
BASE = base_name("default", "edge")


class Store:
    """Secrets as an API server keeps them."""

    def __init__(self) -> None:
        self.secrets: dict[str, Json] = {}
        self.written: list[str] = []
        self._version = 0

    def get(self, _: Kind, __: str, name: str) -> Json | None:
        """One, or nothing."""
        return self.secrets.get(name)

    def create(self, kind: Kind, _: str, content: Json) -> Json:
        """As `apply`."""
        return self.apply(kind, content)

    def apply(self, _: Kind, content: Json) -> Json:
        """Puts it there in one more version."""
        name = content["metadata"]["name"]
        self.written.append(name)
        self._version += 1
        metadata = {**content["metadata"], "uid": name, "resourceVersion": str(self._version)}
        self.secrets[name] = {**content, "metadata": metadata}
        return self.secrets[name]

    def delete(self, _: Kind, __: str, name: str, ___: str = "") -> None:
        """It is gone."""
        self.secrets.pop(name, None)

    def list_metadata(self, _: Kind, __: str, labels: str) -> Page:
        """Those with a label."""
        found = (item for item in self.secrets.values() if labels in item["metadata"]["labels"])
        return Page(tuple({"metadata": item["metadata"]} for item in found), "1")

    def take_written(self) -> list[str]:
        """Names of what was written since the last time."""
        taken, self.written = self.written, []
        return taken


class Bed:
    """One leader's Secrets."""

    def __init__(self) -> None:
        self.store = Store()
        certificates = Certificates(cast("Api", Store()), Place("aigw", ["controller"]))
        certificates.refresh(datetime.now(UTC))
        self.certificates = certificates
        self.sets = SecretSets(cast("Api", self.store), certificates)

    def new_leader(self) -> None:
        """Another replica takes over."""
        self.sets = SecretSets(cast("Api", self.store), self.certificates)

    def keep(self, snapshot: Snapshot, now: float) -> list[str]:
        """One look; returns what was written."""
        self.sets.look([""])
        self.sets.keep_client(EDGE, PODS)
        self.sets.keep_bundle(EDGE, PODS, snapshot, now)
        return self.store.take_written()


@pytest.fixture
def bed() -> Bed:
    return Bed()


def snapshot(text: str = "", made_at: int = 1) -> Snapshot:
    config = {"generation": text, "backends": {}}
    return Cutter().snapshot(config, {"credentials": {}}, made_at)


def part(side: str, number: int = 0) -> str:
    return part_name(BASE, side, number)


def test_the_index_is_written_last_and_sides_take_turns(bed: Bed) -> None:
    assert bed.keep(snapshot("1"), 0) == [client_name(BASE), part("a"), BASE]
    assert bed.keep(snapshot("2"), 10) == [part("b"), BASE]
    assert bed.keep(snapshot("3"), 20) == [part("a"), BASE]


def test_what_is_there_is_not_written_again_also_by_another_leader(bed: Bed) -> None:
    bed.keep(snapshot("1"), 0)
    assert bed.keep(snapshot("1", made_at=2), 10) == []
    bed.new_leader()
    assert bed.keep(snapshot("1", made_at=3), 20) == []


def test_many_changes_are_few_writes(bed: Bed) -> None:
    bed.keep(snapshot("1"), 0)
    assert bed.keep(snapshot("2"), 1) == []
    assert bed.keep(snapshot("3"), 6) == [part("b"), BASE]


@pytest.mark.parametrize("is_new_leader", [False, True])
def test_a_part_that_somebody_has_deleted_is_made_good(bed: Bed, is_new_leader: bool) -> None:
    bed.keep(snapshot("1"), 0)
    del bed.store.secrets[part("a")]
    if is_new_leader:
        bed.new_leader()
    assert bed.keep(snapshot("1"), 10) == [part("b"), BASE]


def test_what_somebody_has_changed_is_made_good(bed: Bed) -> None:
    bed.keep(snapshot("1"), 0)
    for name in (BASE, client_name(BASE)):
        bed.store.apply(cast("Kind", None), {**bed.store.secrets[name], "data": {}})
    bed.store.take_written()
    assert bed.keep(snapshot("1"), 10) == [client_name(BASE), part("a"), BASE]


def test_what_the_index_does_not_name_goes_after_a_while(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "PART_BYTES", 100)
    bed.keep(snapshot("1"), 0)
    bed.keep(snapshot("2"), 10)
    assert part("a") in bed.store.secrets
    bed.keep(snapshot("2"), 400)
    assert part("a") not in bed.store.secrets
    assert part("b") in bed.store.secrets
    assert bed.keep(snapshot("2"), 410) == []


def test_secrets_of_a_gateway_that_is_gone_go(bed: Bed) -> None:
    bed.keep(snapshot("1"), 0)
    bed.sets.look([""])
    assert bed.sets.places() == {(EDGE, PODS)}
    bed.sets.collect(EDGE, PODS)
    assert bed.store.secrets == {}


def test_a_configuration_without_room_is_told(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "PART_BYTES", 100)
    with pytest.raises(TooLargeError, match="4 are mounted"):
        bed.keep(snapshot(os.urandom(800).hex()), 0)
    programmed = Condition("Programmed", "True", "Programmed", "in force in 1 data plane")
    found = also(programmed, ["too large"])
    assert found.status == "True"
    assert found.message.endswith("no copy in case the controller is away: too large")
    assert also(programmed, []) is programmed


def test_the_certificate_of_pods_names_their_gateway_and_is_kept(bed: Bed) -> None:
    bed.keep(snapshot("1"), 0)
    secret = bed.store.secrets[client_name(BASE)]
    assert secret["metadata"]["labels"] == {
        "aigateway.envoyproxy.io/gateway-namespace": "default",
        "aigateway.envoyproxy.io/gateway-name": "edge",
    }
    assert b64decode(secret["data"]["ca.crt"]) == bed.certificates.trusted
    assert json.loads(b64decode(bed.store.secrets[BASE]["data"]["index.json"]))["side"] == "a"
