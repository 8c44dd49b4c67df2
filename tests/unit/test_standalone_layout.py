"""Directories of runs: one owner each, and nothing that stays behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aigw.standalone.errors import RunError
from aigw.standalone.layout import created

if TYPE_CHECKING:
    from pathlib import Path


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
