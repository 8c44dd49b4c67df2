"""Where a data plane in a cluster gets its configuration."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """Whose configuration, and from where.

    `controller` is `host:port`; `certificates` is a folder with `tls.crt`, `tls.key` and `ca.crt`,
    without which the stream is not encrypted (a socket of this machine). `mounted` is the folder
    of the Secrets.
    """

    gateway: str
    node: str
    controller: str = ""
    certificates: Path | None = None
    mounted: Path | None = None
