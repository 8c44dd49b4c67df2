"""The ways to install aigw, each into a clean environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WHEELS = sorted((ROOT / "dist").glob("aigw-*.whl"))
TIMEOUT = 1500

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT)]


def pip(python: Path | str, *arguments: str, cwd: Path = ROOT) -> None:
    """Runs pip with our maturin; both builds from source share one target directory."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CARGO_TARGET_DIR": str(ROOT / "target" / "packaging"),
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def clean_environment(folder: Path) -> Path:
    """A virtual environment that sees our installed dependencies but not our aigw."""
    venv.create(folder, with_pip=True)
    site = next(folder.glob("lib/python3.*/site-packages"))
    ours = Path(sys.prefix, "lib", site.parent.name, "site-packages")
    names = ("aigw*", "__editable__*", "pip*", "_distutils*")
    ignore = shutil.ignore_patterns(*names)
    shutil.copytree(ours, site, ignore=ignore, symlinks=True, dirs_exist_ok=True)
    return folder / "bin" / "python"


def works(python: Path, cwd: Path) -> None:
    """The package imports its core and finds its module; `aigw` is a command."""
    code = "from aigw import _core, envoy_module; print(envoy_module().stat().st_size > 0)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIGW_", "PYTHON"))}
    done = subprocess.run(
        [str(python), "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        check=True,
    )
    assert done.stdout.strip() == "True"
    version = subprocess.run(
        [str(python.with_name("aigw")), "version"], capture_output=True, check=True, cwd=cwd
    )
    assert version.stdout.startswith(b"aigw ")


@pytest.fixture(scope="session")
def wheel() -> Path:
    assert WHEELS, "scripts/test builds the wheel first"
    return WHEELS[-1]


def test_the_wheel_ships_both_shared_objects_for_every_python(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "aigw/_core.abi3.so" in names
    assert "aigw/_envoy/libaigw_envoy.so" in names
    assert "-cp311-abi3-" in wheel.name


def test_the_wheel_needs_no_rust(wheel: Path, tmp_path: Path) -> None:
    python = clean_environment(tmp_path / "env")
    without_rust = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "cargo").exists()
    )
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(command, env={**os.environ, "PATH": without_rust}, check=True)
    works(python, tmp_path)


def test_the_source_distribution_builds(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    archive = next(tmp_path.glob("aigw-*.tar.gz"))
    python = clean_environment(tmp_path / "env")
    pip(python, "install", "--no-deps", "--no-build-isolation", str(archive), cwd=tmp_path)
    works(python, tmp_path)


def test_an_editable_install_finds_its_module(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        target = copy / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    python = clean_environment(tmp_path / "env")
    pip(python, "install", "--no-deps", "--no-build-isolation", "--editable", str(copy))
    works(python, tmp_path)
