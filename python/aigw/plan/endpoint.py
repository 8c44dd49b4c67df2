"""Servers of backends, and the proxies on the way to them."""

from dataclasses import dataclass, field
from enum import StrEnum


class AddressKind(StrEnum):
    """How an endpoint's address is found."""

    DNS = "dns"
    IP = "ip"
    UNIX = "unix"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of a backend. `hostname` is what it sees as the host of the request.

    The address of a Unix socket is its path, and its port is 0. `proxy` is a key of
    `Plan.proxies`, or empty.
    """

    address: str
    port: int
    hostname: str
    kind: AddressKind
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP CONNECT proxy; `authorization` is the value of its header, or empty."""

    host: str
    port: int
    has_tls: bool = False
    authorization: str = field(default="", repr=False)
