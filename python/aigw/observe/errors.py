"""Errors of metrics and exports."""

from aigw.errors import AigwError


class ObserveError(AigwError):
    """Metrics cannot be served or exported as asked; the text says why."""
