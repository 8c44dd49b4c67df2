"""What the operator of the extension chooses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SOCKET = "/etc/ai-gateway-extproc-uds/run.sock"


@dataclass(frozen=True, slots=True)
class Settings:
    """`socket` is where the core listens, as Envoy sees it.

    `log_attributes` maps headers of clients to keys of the metadata that access logs read.
    """

    socket: str = SOCKET
    log_attributes: Mapping[str, str] = field(default_factory=dict)
