"""Proxies on the way to providers: of GatewayConfigs, and of the environment's variables.

A GatewayConfig decides for its Gateways. Otherwise it is `HTTPS_PROXY` for providers with TLS,
`HTTP_PROXY` for the others, and `ALL_PROXY` for both where these are not set. `NO_PROXY` holds
for all; what is on the same machine never goes through a proxy. Names in lower case win.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from aigw.api.gateway import Gateway
from aigw.compile.index import OWN_GROUP, Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan import AddressKind, Endpoint, Proxy

CONFIG_ANNOTATION = "aigateway.envoyproxy.io/gateway-config"
"""Annotation of a Gateway with the name of its GatewayConfig."""
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/\s]+):([0-9]{1,5})")
_NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_PORTS = {"http": 80, "https": 443}


class Proxies:
    """Proxies by Gateway and endpoint; each one is read and reported once."""

    def __init__(self, index: Index, report: Report, variables: Mapping[str, str]) -> None:
        """`variables` are those of the environment."""
        self._index = index
        self._report = report
        self._variables = variables
        self._exceptions = Exceptions(_variable(variables, "NO_PROXY"))
        self._configured: dict[str, str] = {}
        self.found: dict[str, Proxy] = {}

    def of(self, gateway: Gateway, endpoint: Endpoint, *, has_tls: bool) -> str | None:
        """The key of a proxy; empty: none is asked for. None: it cannot be used (reported)."""
        if _is_here(endpoint) or self._exceptions.cover(endpoint.address, endpoint.port):
            return ""
        if gateway.id.path not in self._configured:
            self._configured[gateway.id.path] = self._of_config(gateway)
        return self._configured[gateway.id.path] or self._of_variables(has_tls=has_tls)

    def _of_config(self, gateway: Gateway) -> str:
        """A bad address counts as none; it is reported with its GatewayConfig."""
        name = gateway.metadata.annotations.get(CONFIG_ANNOTATION, "")
        identity = ResourceId(OWN_GROUP, "GatewayConfig", gateway.namespace, name)
        if not name or not self._index.is_written(identity):
            return ""
        from aigw.api.gateway_config import GatewayConfig  # noqa: PLC0415 - few have one

        config = self._index.get(GatewayConfig, gateway.namespace, name)
        written = config.spec.forward_proxy if config else None
        proxy = proxy_at(written.address) if written else None
        if proxy is None:
            return ""
        # With another address it is another way: connections through the old one are not used.
        key = f"{identity}@{proxy.host}:{proxy.port}"
        self.found[key] = proxy
        return key

    def _of_variables(self, *, has_tls: bool) -> str | None:
        names = ("HTTPS_PROXY" if has_tls else "HTTP_PROXY", "ALL_PROXY")
        name = next((name for name in names if _variable(self._variables, name)), "")
        if not name or name in self.found:
            return name
        proxy = proxy_of(_variable(self._variables, name))
        if isinstance(proxy, str):
            self._report.error(None, Code.INVALID_FIELD, name, proxy)
            return None
        self.found[name] = proxy
        return name


def proxies_of(variables: Mapping[str, str]) -> Mapping[str, Proxy]:
    """Proxies of the environment that can be used, by their keys in a plan."""
    found = {name: proxy_of(value) for name in _NAMES if (value := _variable(variables, name))}
    return {name: proxy for name, proxy in found.items() if isinstance(proxy, Proxy)}


def proxy_at(address: str) -> Proxy | None:
    """The proxy at `host:port`, with brackets around IPv6; None if it is something else."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match[2]) <= 65535:
        return None
    return Proxy(match[1].strip("[]"), int(match[2]))


def proxy_of(value: str) -> Proxy | str:
    """The proxy of a variable, or what is wrong; the text has no part of the value."""
    text = value if "://" in value else f"http://{value}"
    try:
        url = urlsplit(text)
        port = url.port or _PORTS.get(url.scheme, 0)
    except ValueError:
        return "is not the URL of a proxy"
    if url.scheme not in _PORTS:
        return f"{url.scheme} proxies are not supported, only http and https"
    if not url.hostname or url.path not in ("", "/") or url.query or url.fragment:
        return "is not the URL of a proxy"
    if not re.fullmatch(r"[0-9A-Za-z._:-]+", url.hostname):
        return "has a host that is no name and no address"
    authorization = ""
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return Proxy(url.hostname, port, url.scheme == "https", authorization)


@dataclass(frozen=True, slots=True)
class _Exception:
    """One item of `NO_PROXY`: a network, or a name with all below it; port 0 is every port."""

    network: IPv4Network | IPv6Network | None
    name: str
    port: int


class Exceptions:
    """`NO_PROXY`: names with all below them, addresses, networks, each with a port or not; `*`."""

    def __init__(self, text: str) -> None:
        """Items are separated by commas or spaces; what means nothing is ignored."""
        self._items = [_exception(item) for item in re.split(r"[,\s]+", text) if item]

    def cover(self, host: str, port: int) -> bool:
        """Whether a host is reached without a proxy."""
        return any(_covers(item, host.lower().rstrip("."), port) for item in self._items)


def _exception(text: str) -> _Exception:
    host, port = text.lower(), 0
    if match := re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", host):
        host, port = match[1], int(match[2])
    host = host.strip("[]")
    try:
        return _Exception(ip_network(host, strict=False), "", port)
    except ValueError:
        name = host if host == "*" else host.removeprefix("*").strip(".")
        return _Exception(None, name, port)


def _covers(item: _Exception, host: str, port: int) -> bool:
    if item.port not in (0, port):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return item.name == "*" or (bool(item.name) and f".{host}".endswith(f".{item.name}"))
    return item.name == "*" or (item.network is not None and address in item.network)


def _variable(variables: Mapping[str, str], name: str) -> str:
    return (variables.get(name.lower()) or variables.get(name) or "").strip()


def _is_here(endpoint: Endpoint) -> bool:
    match endpoint.kind:
        case AddressKind.UNIX:
            return True
        case AddressKind.DNS:
            name = endpoint.address.lower().rstrip(".")
            return name == "localhost" or name.endswith(".localhost")
        case AddressKind.IP:
            return ip_address(endpoint.address).is_loopback
