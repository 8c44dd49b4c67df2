"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import socket


class FreePorts:
    """Hands out ports that were free a moment ago, none of them twice.

    Prefer port 0 and asking the server afterwards wherever that is possible.
    """

    def __init__(self) -> None:
        """Start with nothing handed out."""
        self._taken: set[int] = set()

    def __call__(self) -> int:
        """A port that nobody listens on."""
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in self._taken:
                self._taken.add(port)
                return port
