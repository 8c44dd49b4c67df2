"""aigw: an AI gateway on Envoy."""

import os
from pathlib import Path

__all__ = ["__version__", "envoy_module"]


def envoy_module() -> Path:
    """The Envoy dynamic module: `AIGW_ENVOY_MODULE`, else the one of this installation.

    Raises:
        FileNotFoundError: there is none at that place.
    """
    override = os.environ.get("AIGW_ENVOY_MODULE")
    path = Path(override) if override else Path(__file__).parent / "_envoy" / "libaigw_envoy.so"
    if not path.is_file():
        message = f"the Envoy module is not there: {path}"
        raise FileNotFoundError(message)
    return path.absolute()


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: most commands never do."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("aigw")
    raise AttributeError(name)
