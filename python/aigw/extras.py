"""Extras of the package: the libraries of clouds that are here, and those that are not."""

import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder

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
    """Without the import of a package that it is in, as `find_spec` does it."""
    places: Sequence[str] | None = None
    whole = ""
    for part in name.split("."):
        whole = f"{whole}.{part}" if whole else part
        if sys.modules.get(whole, sys) is None:  # its import is blocked
            return False
        spec = PathFinder.find_spec(whole, places)
        if spec is None:
            return False
        places = spec.submodule_search_locations
    return True
