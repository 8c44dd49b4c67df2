"""Host names of URLs, as resources name them."""

import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST = 253


def host_name(written: str) -> str | None:
    """ASCII, lower case, without the dot of the root; an IPv6 address as it is. None: no host."""
    if ":" in written:
        return written
    try:
        host = written.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return host if _HOST.fullmatch(host) and len(host) <= _LONGEST else None
