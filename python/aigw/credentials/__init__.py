"""Credentials that must be exchanged before a provider takes them, kept fresh.

Nothing of a cloud's library is imported before a configured credential needs it.
"""

from aigw.credentials.errors import ExchangeError
from aigw.credentials.refresher import Refresher

__all__ = ["ExchangeError", "Refresher"]
