"""Extras of the package: the libraries of clouds that are here, and those that are not."""

import importlib.util
from collections.abc import Mapping

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "aws": ("botocore", "urllib3"),
    "azure": ("msal", "urllib3"),
    "gcp": ("google.auth", "urllib3"),
}
"""What each extra brings and an exchange imports."""


def missing_extras() -> frozenset[str]:
    """Extras of which a library is not installed. None is imported."""
    return frozenset(
        extra for extra, names in LIBRARIES.items() if not all(map(_is_installed, names))
    )


def advice(extra: str) -> str:
    """How to get the libraries of an extra."""
    return f"install it with: pip install 'aigw[{extra}]'"


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a package that it would be in
        return False
