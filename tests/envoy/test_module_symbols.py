"""The module links nothing that the oldest supported Envoy does not export."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from beds.module import ROOT, build_module

PREFIX = "envoy_dynamic_module_callback_"
LISTED = ROOT / "rust/envoy/callbacks-1.38.txt"


def symbols(path: str, kind: str) -> set[str]:
    """Dynamic symbols: `undefined` or `defined` ones."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm is not installed")
    command = [nm, "--dynamic", f"--{kind}-only", "--format=just-symbols", path]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {line.partition("@")[0] for line in out.splitlines()}


def test_imported_callbacks_are_the_listed_ones() -> None:
    imported = symbols(str(build_module()), "undefined")
    callbacks = {name.removeprefix(PREFIX) for name in imported if name.startswith("envoy_")}
    assert callbacks == set(LISTED.read_text().split())


def test_nothing_of_python_is_imported() -> None:
    assert not {name for name in symbols(str(build_module()), "undefined") if name.startswith("Py")}


def test_every_mandatory_hook_is_exported() -> None:
    exported = symbols(str(build_module()), "defined")
    assert len({name for name in exported if name.startswith("envoy_dynamic_module_on_")}) == 21
