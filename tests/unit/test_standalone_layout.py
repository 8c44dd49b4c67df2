"""Directories of runs: one owner each, and nothing that stays behind."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from aigw.standalone import layout as layouts
from aigw.standalone.errors import RunError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from aigw.standalone.layout import Layout


def state_of(runtime_dir: Path) -> Path:
    return runtime_dir.with_name(f"{runtime_dir.name}-state")


def created(runtime_dir: Path, run_id: str | None) -> AbstractContextManager[Layout]:
    return layouts.created(runtime_dir, run_id, state_of(runtime_dir))


def left_behind(root: Path) -> None:
    """A directory as a killed run leaves it."""
    for part in ("core", "envoy"):
        (root / part).mkdir(parents=True)
    (root / ".aigw-run").touch()
    (root / "core" / "credentials.json").write_text("secret")


def test_a_run_has_its_directory_for_itself(tmp_path: Path) -> None:
    with created(tmp_path, "a") as layout:
        assert layout.core.stat().st_mode & 0o777 == 0o700
        with pytest.raises(RunError, match="exists already"), created(tmp_path, "a"):
            pass
        with created(tmp_path, "b"):
            assert layout.core.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_an_owner_is_taken_over(tmp_path: Path) -> None:
    left_behind(tmp_path / "a")
    with created(tmp_path, "a") as layout:
        assert list(layout.core.iterdir()) == []


def test_what_others_left_behind_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left_behind(tmp_path / "old")
    (tmp_path / "mine").mkdir()
    (tmp_path / "file").touch()
    with created(tmp_path, "a"):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file", "mine"]


def test_a_directory_that_only_looks_like_one_of_ours_is_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "rust"
    for part in ("core", "envoy"):
        (source / part).mkdir(parents=True)
    with created(tmp_path, "a"):
        assert sorted(path.name for path in source.iterdir()) == ["core", "envoy"]
    with pytest.raises(RunError, match="not the directory of a run"), created(tmp_path, "rust"):
        pass
    assert sorted(path.name for path in source.iterdir()) == ["core", "envoy"]


def test_an_empty_directory_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with created(tmp_path, "a") as layout:
        assert layout.core.is_dir()


def test_a_file_is_no_runtime_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunError, match="is not a directory"),
        created(tmp_path / "file", None),
    ):
        pass


def kept(tmp_path: Path) -> set[str]:
    """Names of runs whose logs are there."""
    found = [
        {path.name for path in (state_of(tmp_path) / part).iterdir()}
        for part in ("runs", "envoy-runs")
    ]
    assert found[0] == found[1]
    return found[0]


def test_what_a_run_tells_is_there_when_it_has_ended(tmp_path: Path) -> None:
    with created(tmp_path, "a") as layout:
        layout.log.write_text("first\n")
        for directory in (layout.records, layout.envoy_logs, layout.ledger):
            assert directory.stat().st_mode & 0o777 == 0o700
    with created(tmp_path, "a") as layout:
        assert layout.log.read_text() == "first\n"
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_runs_are_forgotten_but_none_that_lives(tmp_path: Path) -> None:
    with created(tmp_path, "alive"):
        for number in range(15):
            with created(tmp_path, f"run-{number}") as layout:
                (layout.envoy_logs / "stderr.log").touch()
                mark = layout.records / ".aigw-run"
            os.utime(mark, (number + 1, number + 1))
        os.utime(state_of(tmp_path) / "runs" / "alive" / ".aigw-run", (0, 0))
        with created(tmp_path, "last"):
            newest = {f"run-{number}" for number in range(6, 15)}
            assert kept(tmp_path) == {"alive", "last", *newest}
    with created(tmp_path, "last"):
        assert kept(tmp_path) == {"last", *newest}


def test_what_is_not_of_a_run_stays_in_the_state_home(tmp_path: Path) -> None:
    """`runs` is a name that others use too."""
    foreign = state_of(tmp_path) / "runs" / "experiment"
    foreign.mkdir(parents=True)
    (foreign / "results").touch()
    for number in range(12):
        with created(tmp_path, f"run-{number}"):
            pass
    assert (foreign / "results").exists()
    refused = pytest.raises(RunError, match="not the directory of a run")
    with refused, created(tmp_path, "experiment"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_state_home_that_was_asked_for_must_be_usable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(RunError, match="cannot make the state directory")
    with refused, layouts.created(tmp_path / "run", "a", tmp_path / "file"):
        pass


def test_without_a_home_the_state_is_in_the_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    for _ in range(2):
        with layouts.created(tmp_path / "run", "a", None) as layout:
            assert layout.records == tmp_path / "run" / "state" / "runs" / "a"
    assert "cannot be written: logs are in" in caplog.text


def test_run_ids_are_times(tmp_path: Path) -> None:
    with created(tmp_path, None) as first, created(tmp_path, None) as second:
        assert re.fullmatch(r"\d{8}_\d{6}_\d{3}", first.root.name)
        assert first.root != second.root
