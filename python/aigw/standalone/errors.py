"""Failures of a run, in words for the user."""

from aigw.errors import AigwError


class RunError(AigwError):
    """The gateway cannot start or cannot go on."""
