"""Metrics and usage for people and machines outside the gateway."""

from aigw.observe.admin import DEFAULT_PORT
from aigw.observe.errors import ObserveError
from aigw.observe.metrics import (
    CREDENTIAL_AGE,
    CREDENTIAL_EXCHANGES,
    OWN,
    Collector,
    OwnMetric,
    Sample,
)
from aigw.observe.observer import Observed, Usage, observing

__all__ = [
    "CREDENTIAL_AGE",
    "CREDENTIAL_EXCHANGES",
    "DEFAULT_PORT",
    "OWN",
    "Collector",
    "ObserveError",
    "Observed",
    "OwnMetric",
    "Sample",
    "Usage",
    "observing",
]
