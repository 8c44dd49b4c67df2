"""Snapshots: the core's files in pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.render.snapshot import Cutter, SnapshotError, assembled, packed, unpacked

names = st.text(min_size=1, max_size=20)
entries = st.dictionaries(names, st.dictionaries(names, names, max_size=3), max_size=30)
SECRETS = {"version": 1, "credentials": {"n/p": {"type": "APIKey", "key": "k"}}}


def config(backends: dict[str, object], generation: str = "g") -> dict[str, object]:
    return {"version": 1, "generation": generation, "gateways": {"n/g": {}}, "backends": backends}


@given(entries)
def test_files_come_out_as_they_went_in(backends: dict[str, object]) -> None:
    document = config(backends)
    text = packed(Cutter().snapshot(document, SECRETS, 7))
    config_text, credentials = assembled(*unpacked(text))
    assert (json.loads(config_text), json.loads(credentials)) == (document, SECRETS)


def test_a_change_of_one_backend_changes_two_pieces() -> None:
    cutter = Cutter()
    backends = {f"n/b{number}@0": {"a": number} for number in range(1000)}
    first = cutter.snapshot(config(backends), SECRETS, 7)
    changed = {**backends, "n/b7@0": {"a": "other"}}
    second = cutter.snapshot(config(changed, "h"), SECRETS, 7)
    assert len(second.missing(first.pieces)) == 2  # the part, and what names the generation


def test_what_is_missing_or_damaged_is_named() -> None:
    snapshot = Cutter().snapshot(config({"a": {}}), SECRETS, 7)
    without = dict(snapshot.pieces)
    del without[snapshot.credentials]
    with pytest.raises(SnapshotError, match="is missing"):
        assembled(snapshot.manifest, without)
    for damaged in (b"", b"no zlib", snapshot.pieces[snapshot.config[0]][:9]):
        with pytest.raises(SnapshotError, match="is damaged"):
            assembled(snapshot.manifest, {**snapshot.pieces, snapshot.config[0]: damaged})


@given(st.integers(0, 400), st.binary(max_size=5))
def test_a_cut_text_is_never_taken_for_a_whole_one(at: int, end: bytes) -> None:
    snapshot = Cutter().snapshot(config({"a": {}, "b": {}}), SECRETS, 7)
    text = packed(snapshot)
    torn = text[: min(at, len(text) - 1)] + end
    if torn == text:
        return
    with pytest.raises(SnapshotError):
        assembled(*unpacked(torn))


def test_a_version_of_the_future_is_refused() -> None:
    snapshot = Cutter().snapshot(config({}), SECRETS, 7)
    with pytest.raises(SnapshotError, match="version 2 is not supported"):
        assembled({**snapshot.manifest, "version": 2}, snapshot.pieces)
