"""Access tokens of credentials that must be exchanged, refreshed ahead of their expiry."""

from aigw.credentials.exchange import ExchangeError, needs_exchange
from aigw.credentials.refresher import Refresher

__all__ = ["ExchangeError", "Refresher", "needs_exchange"]
