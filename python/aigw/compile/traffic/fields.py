"""Values that ClientTrafficPolicy and BackendTrafficPolicy have in common, checked for Envoy.

Envoy refuses a whole listener or cluster for one value out of range, so each one is checked here
and left out alone.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aigw.api.fields import UINT32_MAX, duration_ms, quantity_bytes
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan.traffic import Http2, Keepalive

if TYPE_CHECKING:
    from aigw.api.cluster_settings import ConnectionKeepalive, HTTP2Settings, TCPKeepalive

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LEAST_WINDOW = 65535
_LARGEST_WINDOW = 2**31 - 1
_PING_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True)
class Fields:
    """Reads the fields of one policy and names what cannot be used."""

    policy: ResourceId
    report: Report

    def refuse(self, path: str, why: str = "is not supported yet") -> None:
        """A field that is valid and not served."""
        self.report.error(self.policy, Code.UNSUPPORTED, f"spec.{path}", f"{why}; it is left out")

    def invalid(self, path: str, why: str) -> None:
        """A field that cannot work."""
        self.report.error(self.policy, Code.INVALID_FIELD, f"spec.{path}", f"{why}; it is left out")

    def no_effect(self, path: str, why: str) -> None:
        """A field that changes nothing."""
        self.report.warning(self.policy, Code.NO_EFFECT, f"spec.{path}", why)

    def time(self, written: str | None, path: str) -> int | None:
        """Milliseconds, at least one."""
        if written is None:
            return None
        milliseconds = duration_ms(written)
        if milliseconds < 1:
            self.invalid(path, "must be longer than 0")
            return None
        return milliseconds

    def limit(self, written: str | None) -> int | None:
        """Milliseconds; 0 means no limit."""
        return None if written is None else duration_ms(written)

    def size(self, written: int | str | None, path: str, most: int = UINT32_MAX) -> int | None:
        """Bytes."""
        if written is None:
            return None
        size = quantity_bytes(str(written))
        if not 1 <= size <= most:
            self.invalid(path, f"must be between 1 and {most} bytes")
            return None
        return size

    def count(self, written: int | None, path: str) -> int | None:
        """A number that is not negative."""
        if written is not None and written < 0:
            self.invalid(path, "must not be negative")
            return None
        return written

    def keepalive(self, written: "TCPKeepalive | None", path: str) -> Keepalive | None:
        """Probes of the kernel."""
        if written is None:
            return None
        return Keepalive(
            self.count(written.probes, f"{path}.probes"),
            self.time(written.idle_time, f"{path}.idleTime"),
            self.time(written.interval, f"{path}.interval"),
        )

    def http2(self, written: "HTTP2Settings | None", path: str) -> Http2 | None:
        """HTTP/2 and its pings."""
        if written is None:
            return None
        ping = written.connection_keepalive
        interval = idle = timeout = jitter = None
        if ping:
            place = f"{path}.connectionKeepalive"
            interval = self.time(ping.interval, f"{place}.interval")
            idle = self.time(ping.idle_interval, f"{place}.idleInterval")
            timeout, jitter = self._pings(ping, interval, idle, place)
        initial = f"{path}.initial"
        return Http2(
            self._window(written.initial_stream_window_size, f"{initial}StreamWindowSize"),
            self._window(written.initial_connection_window_size, f"{initial}ConnectionWindowSize"),
            written.max_concurrent_streams,
            interval,
            timeout,
            jitter,
            idle,
            self._lenient(written.on_invalid_message, f"{path}.onInvalidMessage"),
        )

    def _pings(
        self, ping: "ConnectionKeepalive", interval: int | None, idle: int | None, path: str
    ) -> tuple[int | None, int | None]:
        """Timeout and jitter; a timeout is needed wherever there are pings."""
        if interval is None and idle is None:
            self.no_effect(path, "has no effect without interval or idleInterval")
            return None, None
        timeout = self.time(ping.timeout, f"{path}.timeout")
        if timeout is None:
            timeout = max(1, min([_PING_TIMEOUT_MS, *([interval // 2] if interval else [])]))
        return timeout, ping.interval_jitter

    def _window(self, written: int | str | None, path: str) -> int | None:
        size = self.size(written, path)
        if size is not None and not _LEAST_WINDOW <= size <= _LARGEST_WINDOW:
            self.invalid(path, f"must be between {_LEAST_WINDOW} and {_LARGEST_WINDOW} bytes")
            return None
        return size

    def _lenient(self, written: str | None, path: str) -> bool | None:
        if written is None:
            return None
        if written not in ("TerminateConnection", "TerminateStream"):
            self.invalid(path, "must be TerminateConnection or TerminateStream")
            return None
        return written == "TerminateStream"
