"""Where clients come in: ports, listeners, hosts, and the matches of their requests."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aigw.plan.header_match import HeaderMatch
from aigw.plan.traffic import ClientTraffic, PortTraffic

if TYPE_CHECKING:
    from aigw.plan.http import HttpMatch


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All header conditions must hold; then the rule with id `rule` takes the request.

    With `paths`, only requests to one of these endpoints. `security` is a key of `Plan.security`,
    or empty.
    """

    headers: tuple[HeaderMatch, ...]
    rule: str
    paths: tuple[str, ...] = ()
    security: str = ""


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """Matches for one host name, in the order in which they are tried.

    `hostname` is exact, `*.suffix`, or `*` for every host. `http` are matches for plain requests,
    other than those to `api_paths`, which are for `matches`. `security` (a key of
    `Plan.security`) is for all requests whose model is not known yet. With `is_closed` there
    should be some and cannot be: then only routes with their own are served.
    """

    hostname: str
    matches: tuple[RouteMatch, ...]
    security: str = ""
    is_closed: bool = False
    http: tuple["HttpMatch", ...] = ()
    api_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """An entrance behind a port: `name` is `<ns>/<gateway>/<listener>`.

    With `certificates` (keys of `Plan.certificates`) it is HTTPS, for clients that ask for
    `server_name`: exact, `*.suffix`, or `*` for every client. HTTP listeners of one port are
    merged into one that has neither.
    """

    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    server_name: str = "*"
    certificates: tuple[str, ...] = ()
    traffic: ClientTraffic = field(default_factory=ClientTraffic)


@dataclass(frozen=True, slots=True)
class Port:
    """A port of one Gateway; several listeners only where all of them are HTTPS."""

    number: int
    gateway: str
    listeners: tuple[Listener, ...]
    traffic: PortTraffic = field(default_factory=PortTraffic)
