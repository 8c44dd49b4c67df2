"""HTTP to identity providers: bounded in time, through the proxies that apply."""

import os
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.util import make_headers

from aigw.credentials.errors import ExchangeError

TIMEOUT_SECONDS = 10.0
# Servers of the machine itself, which no proxy can reach.
_LINK_LOCAL = frozenset({"169.254.169.254", "metadata", "metadata.google.internal"})


def proxy_of(variable: str) -> str:
    """The proxy that an environment variable names; empty without one.

    Raises:
        ExchangeError: its value is no URL of a proxy.
    """
    value = os.environ.get(variable, "").strip()
    if value and not _is_proxy(value):
        message = f"{variable} is not the URL of an HTTP proxy"
        raise ExchangeError(message)
    return value


class Web:
    """Sends requests by `proxy`, or by the proxy that the environment names for a URL.

    Redirects are not followed: what is sent here is secret.
    """

    def __init__(self, proxy: str = "") -> None:
        """Nothing is connected yet."""
        self._proxy = proxy
        self._pools: dict[str, urllib3.PoolManager] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        for pool in self._pools.values():
            pool.clear()

    def request(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401
        """As `urllib3.PoolManager.request`.

        Raises:
            urllib3.exceptions.HTTPError: no reply.
        """
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self._pool(url).request(method, url, **options)

    def _pool(self, url: str) -> urllib3.PoolManager:
        host = urlsplit(url).hostname or ""
        proxy = "" if host in _LINK_LOCAL else self._proxy or _of_environment(url, host)
        if proxy not in self._pools:
            self._pools[proxy] = _pool(proxy)
        return self._pools[proxy]


def _pool(proxy: str) -> urllib3.PoolManager:
    if not proxy:
        return urllib3.PoolManager(retries=False)
    parts = urlsplit(proxy)
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(proxy, retries=False, proxy_headers=headers)


def _of_environment(url: str, host: str) -> str:
    found = getproxies()
    proxy = found.get(urlsplit(url).scheme) or found.get("all", "")
    return "" if not proxy or proxy_bypass(host) else proxy


def _is_proxy(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
