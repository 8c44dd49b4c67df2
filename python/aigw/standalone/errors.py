"""Failures of a run, in words for the user."""

from aigw.errors import AigwError


class RunError(AigwError):
    """The gateway cannot start or cannot go on."""


class RefusedError(RunError):
    """The data plane does not take a configuration; it serves the one before."""
