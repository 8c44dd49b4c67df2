"""Host names of listeners and routes, as Gateway API combines them."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address


def intersect(listener: str | None, route: str) -> str | None:
    """The host names that both accept, or None: exact, `*.suffix`, or `*` for all."""
    if listener is None or listener == "*" or listener == route:
        return route
    if route == "*":
        return listener
    if covers(listener, route):
        return route
    return listener if covers(route, listener) else None


def common_hosts(listener: str | None, route: Sequence[str]) -> list[str]:
    """Host names of a route, all if it names none, as far as a listener has them too."""
    return [name for item in route or ["*"] if (name := intersect(listener, item))]


def covers(pattern: str, name: str) -> bool:
    """Whether every host that matches `name` matches `pattern`."""
    if pattern in ("*", name):
        return True
    return pattern.startswith("*.") and name.removeprefix("*").endswith(pattern[1:])


@lru_cache(maxsize=2**14)
def patterns(name: str) -> tuple[str, ...]:
    """All that cover `name`, the most specific first."""
    labels = name.split(".")
    wider = (".".join(["*", *labels[position:]]) for position in range(1, len(labels)))
    return tuple(dict.fromkeys((name, *wider, "*")))


def specificity(name: str) -> tuple[int, int]:
    """Sort key: more specific names are greater. Exact, then wildcard, then all hosts."""
    if name == "*":
        return (0, 0)
    return (1 if name.startswith("*.") else 2, len(name))


def is_address(host: str) -> bool:
    """Whether a host is an IP address, in brackets or not."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
