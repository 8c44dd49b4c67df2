"""Paths as Envoy makes them normal, before anything is matched by them.

In the order of its connection manager: escaped slashes, then the canonical form (that of the
URL library of browsers, which Envoy uses), then slashes in a row.
"""

import re
from dataclasses import dataclass

from aigw.plan.traffic import ClientTraffic
from aigw.render.envoy.local_replies import table

# Never escaped in the canonical form, and those that may stand as they are.
_PLAIN = frozenset(b"-_~.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_ALLOWED = _PLAIN | frozenset(b"!$&'()*+,/:;=@[]%")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_ESCAPED_SLASH = re.compile(rb"%(?:2[Ff]|5[Cc])")
# No request line has others.
_FOREIGN = re.compile(rb"[^\x21-\x7e]")
_REFUSED = "path_normalization_failed"


@dataclass(frozen=True, slots=True)
class Normal:
    """A path with its query; `answer` is what the client gets when the path goes no further."""

    path: str
    answer: str = ""


def normal(written: str, traffic: ClientTraffic) -> Normal:
    """The path of a request as routes, filters and providers see it."""
    whole = written.encode("utf-8", "surrogateescape")
    path, mark, query = whole.partition(b"?")
    if b"#" in whole or _FOREIGN.search(whole):
        return _refused(written)
    action = traffic.escaped_slashes or "KeepUnchanged"
    unescaped = path
    if action != "KeepUnchanged":
        unescaped = _ESCAPED_SLASH.sub(lambda found: bytes.fromhex(found[0][1:].decode()), path)
    is_found = unescaped != path
    canonical = _canonical(unescaped)
    if canonical is None or (is_found and action == "RejectRequest"):
        return _refused(written)
    if traffic.merge_slashes:
        canonical = _merged(canonical)
    shown = (canonical + mark + query).decode("utf-8", "surrogateescape")
    if is_found and action == "UnescapeAndRedirect":
        return Normal(shown, f"307: the client is sent to {shown}")
    return Normal(shown)


def _refused(path: str) -> Normal:
    row = next(x for x in table() if x.status == 400 and _REFUSED.startswith(x.details))
    return Normal(path, f"400: {row.message}")


def _canonical(path: bytes) -> bytes | None:
    """The canonical form; None where there is none."""
    if b"%00" in path:
        return None
    text = _ESCAPE.sub(_unescaped, path.replace(b"\\", b"/"))
    done: list[bytes] = []
    segments = text.removeprefix(b"/").split(b"/")
    for position, segment in enumerate(segments):
        is_last = position == len(segments) - 1
        if segment in (b".", b".."):
            if segment == b"..":
                del done[-1:]
            if is_last:
                done.append(b"")
        else:
            done.append(b"".join(_escaped(byte) for byte in segment))
    return b"/" + b"/".join(done)


def _merged(path: bytes) -> bytes:
    """Slashes in a row as one; of a path that has nothing else, two stay."""
    segments = b"/".join(filter(None, path.split(b"/")))
    if segments:
        return b"/" + segments + (b"/" if path.endswith(b"/") else b"")
    return path[:2]


def _unescaped(found: re.Match[bytes]) -> bytes:
    value = int(found[0][1:], 16)
    return bytes([value]) if value in _PLAIN else found[0]


def _escaped(byte: int) -> bytes:
    return bytes([byte]) if byte in _ALLOWED else b"%%%02X" % byte
