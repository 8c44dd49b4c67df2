"""What the operator of the extension chooses."""

from dataclasses import dataclass

SOCKET = "/etc/ai-gateway-extproc-uds/run.sock"


@dataclass(frozen=True, slots=True)
class Settings:
    """`socket` is where the core listens, as Envoy sees it."""

    socket: str = SOCKET
