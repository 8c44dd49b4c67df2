"""Builds the programs of the Kubernetes bed from Go modules into a cache.

`scripts/kube-bed` runs this file. It needs Go and nothing of this project. What `binaries/go.sum`
pins is built once and kept in a folder named after it:

    $AIGW_KUBE_BED, else ~/.cache/aigw/kube-bed
      <hash>/bin/     etcd, kube-apiserver, kube-controller-manager, envoy-gateway
      <hash>/crds/    the CRDs that Envoy Gateway ships, those of Gateway API among them

`KUBEBUILDER_ASSETS` names a folder whose etcd and kube-apiserver are taken instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = Path(__file__).parent / "binaries"
KUBERNETES = "1.36.3"
# Without them clients cannot read the server's version.
_VERSION = "k8s.io/component-base/version"
_LINK = (
    f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} "
    f"-X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}"
)
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway",
}
_CHART = "charts/gateway-helm/charts/crds/crds"


class BuildError(Exception):
    """The programs cannot be built; the text says why."""


def cache() -> Path:
    """The folder of everything that outlives a run."""
    default = Path.home() / ".cache" / "aigw" / "kube-bed"
    return Path(os.environ.get("AIGW_KUBE_BED") or default)


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are, whether built or not."""

    folder: Path
    assets: Path | None

    @classmethod
    def expected(cls) -> Binaries:
        """Those that belong to the state of the repository."""
        pinned = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
        key = hashlib.sha256(pinned + _LINK.encode()).hexdigest()[:16]
        assets = os.environ.get("KUBEBUILDER_ASSETS")
        return cls(cache() / key, Path(assets) if assets else None)

    def find(self, name: str) -> Path | None:
        """A program, if it is there."""
        folders = [self.folder / "bin"]
        if self.assets is not None and name in {"etcd", "kube-apiserver"}:
            folders.insert(0, self.assets)
        return next((folder / name for folder in folders if (folder / name).exists()), None)

    def missing(self) -> list[str]:
        """The programs that are not there."""
        return [name for name in PROGRAMS if self.find(name) is None]

    @property
    def crds(self) -> Path | None:
        """The CRDs of Gateway API and Envoy Gateway, if they are there."""
        folder = self.folder / "crds"
        return folder if folder.exists() else None


def why_not() -> str | None:
    """Why nothing can be built here, or nothing."""
    if shutil.which("go") is None:
        return "Go is not installed"
    return None


def build(binaries: Binaries) -> None:
    """Builds what is missing, and says how long each part took.

    Raises:
        BuildError: Go is not there or reports an error.
    """
    if (reason := why_not()) is not None:
        raise BuildError(reason)
    (binaries.folder / "bin").mkdir(parents=True, exist_ok=True)
    with locked(binaries.folder / "lock"):
        for name in binaries.missing():
            with _timed(name):
                _build(name, binaries.folder / "bin")
        if binaries.crds is None:
            with _timed("CRDs"):
                _copy_crds(binaries.folder)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other process holds the lock of this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    start = time.monotonic()
    _say(f"  {what} ...")
    yield
    _say(f" {time.monotonic() - start:.0f} s\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _build(name: str, folder: Path) -> None:
    unfinished = folder / f".{name}.{os.getpid()}"
    _go("build", "-trimpath", "-ldflags", _LINK, "-o", str(unfinished), PROGRAMS[name])
    unfinished.rename(folder / name)


def _copy_crds(folder: Path) -> None:
    source = Path(_go("list", "-m", "-f", "{{.Dir}}", "github.com/envoyproxy/gateway")) / _CHART
    unfinished = folder / f".crds.{os.getpid()}"
    unfinished.mkdir()
    for file in source.rglob("*.yaml"):
        (unfinished / file.name).write_bytes(file.read_bytes())
    unfinished.rename(folder / "crds")


def _go(*arguments: str) -> str:
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false".strip()
    done = subprocess.run(
        ["go", *arguments],
        cwd=MODULE,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags, "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"go {arguments[0]} failed:\n{done.stderr[-4000:]}"
        raise BuildError(message)
    return done.stdout.strip()


def main() -> int:
    """Builds; without Go it says so, which is an error in CI only."""
    binaries = Binaries.expected()
    if not binaries.missing() and binaries.crds is not None:
        _say(f"all of it is in {binaries.folder}\n")
        return 0
    try:
        build(binaries)
    except BuildError as error:
        must = os.environ.get("CI") == "true" or why_not() is None
        _say(f"THE TESTS OF tests/kube CANNOT RUN: {error}\n")
        return 1 if must else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
