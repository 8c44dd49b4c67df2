"""Metrics and usage for people and machines outside the gateway."""

from aigw.observe.admin import DEFAULT_PORT
from aigw.observe.errors import ObserveError
from aigw.observe.exporting import READER
from aigw.observe.metrics import (
    CREDENTIAL_AGE,
    CREDENTIAL_EXCHANGES,
    OWN,
    Collector,
    OwnMetric,
    Sample,
)
from aigw.observe.observer import Observed, observing

__all__ = [
    "CREDENTIAL_AGE",
    "CREDENTIAL_EXCHANGES",
    "DEFAULT_PORT",
    "OWN",
    "READER",
    "Collector",
    "ObserveError",
    "Observed",
    "OwnMetric",
    "Sample",
    "observing",
]
