"""Which changes of files are seen."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from aigw.standalone.watch import Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_in_place(path: Path) -> None:
    path.write_text("b")


def write_the_same_size_and_time(path: Path) -> None:
    before = path.stat()
    path.write_text("b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(path: Path) -> None:
    draft = path.with_name("draft")
    draft.write_text("b")
    draft.replace(path)


def move_the_link(path: Path) -> None:
    """As a mounted ConfigMap: the file is a link through a link to a folder."""
    folder = path.with_name("next")
    folder.mkdir()
    (folder / path.name).write_text("b")
    link = path.with_name("link")
    link.symlink_to(folder)
    link.replace(path.with_name("data"))


def remove_and_write(path: Path) -> None:
    path.unlink()
    path.write_text("b")


CHANGES = [
    write_in_place,
    write_the_same_size_and_time,
    replace_by_rename,
    move_the_link,
    remove_and_write,
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_seen(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "first")
    path = tmp_path / "file"
    if change is move_the_link:
        (tmp_path / "first" / "file").write_text("a")
        path.symlink_to(tmp_path / "data" / "file")
    else:
        path.write_text("a")
    files = Files()
    assert files.read(str(path)) == "a"
    change(path)
    await asyncio.wait_for(files.changed(), 5)
    files.start()
    assert files.read(str(path)) == "b"


async def test_a_file_that_is_missing_is_watched(tmp_path: Path) -> None:
    files, path = Files(), tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        files.read(str(path))
    path.write_text("a")
    await asyncio.wait_for(files.changed(), 5)


async def test_what_is_not_read_any_more_is_not_watched(tmp_path: Path) -> None:
    files, other = Files(), tmp_path / "other"
    other.write_text("a")
    files.read(str(other))
    files.start()
    other.write_text("b")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(files.changed(), 0.3)
