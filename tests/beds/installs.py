"""Clean environments to install aigw into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TIMEOUT = 1500


def build_environment(python: Path) -> dict[str, str]:
    """Variables for a build from source: our maturin, one target directory for all builds."""
    folders = [str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIGW_", "PYTHON"))}
    return {
        **kept,
        "PATH": os.pathsep.join(folders),
        "CARGO_TARGET_DIR": str(ROOT / "target"),
    }


def pip(python: Path, *arguments: str, cwd: Path = ROOT) -> None:
    """Runs pip and shows the end of its errors when it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=build_environment(python),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def clean_environment(folder: Path) -> Path:
    """The Python of a virtual environment with our installed dependencies, without aigw."""
    venv.create(folder, with_pip=True)
    site = next(folder.glob("lib/python3.*/site-packages"))
    ours = Path(sys.prefix, "lib", site.parent.name, "site-packages")
    names = ("aigw*", "__editable__*", "pip*", "_distutils*")
    ignore = shutil.ignore_patterns(*names)
    shutil.copytree(ours, site, ignore=ignore, symlinks=True, dirs_exist_ok=True)
    return folder / "bin" / "python"
