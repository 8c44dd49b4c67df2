"""Keeps the tokens of all credentials fresh."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from aigw.credentials.exchange import ExchangeError, exchange
from aigw.plan import Credential, GcpServiceAccount, Token

logger = logging.getLogger(__name__)

Exchange = Callable[[GcpServiceAccount], Token]

# A token is renewed this long before it ends, or when a fifth of its life is left.
_AHEAD_SECONDS = 300
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 60.0


class Refresher:
    """Exchanges credentials in the background and hands on every change of the tokens."""

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        on_change: Callable[[Mapping[str, Token]], None],
        exchange: Exchange = exchange,
    ) -> None:
        """`on_change` gets all tokens had so far, by credential."""
        self._accounts = {
            name: value
            for name, value in credentials.items()
            if isinstance(value, GcpServiceAccount)
        }
        self._on_change = on_change
        self._exchange = exchange
        self._tokens: dict[str, Token] = {}

    async def run(self) -> None:
        """Runs until it is cancelled; returns at once without anything to refresh."""
        async with asyncio.TaskGroup() as group:
            for name, account in self._accounts.items():
                group.create_task(self._keep_fresh(name, account))

    async def _keep_fresh(self, name: str, account: GcpServiceAccount) -> None:
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                token = await asyncio.to_thread(self._exchange, account)
            except ExchangeError as error:
                logger.warning(
                    "BackendSecurityPolicy %s: no access token: %s; next try in %.0f s",
                    name,
                    error,
                    delay,
                )
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
                continue
            delay = _FIRST_DELAY_SECONDS
            self._tokens[name] = token
            self._on_change(dict(self._tokens))
            await asyncio.sleep(_until_renewal(token, time.time()))


def _until_renewal(token: Token, now: float) -> float:
    """Seconds until a token should be renewed; at least one."""
    left = token.expires_at - now
    return max(left - min(_AHEAD_SECONDS, left / 5), 1.0)
