"""What `aigw run` was asked to do."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aigw.plan import EndpointPrefixes
from aigw.render.envoy.target import DataPlane


class Transport(StrEnum):
    """Who serves ext_proc."""

    NATIVE = "native"
    GRPCIO = "grpcio"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one run. Paths are absolute; `port` is for generated configurations only."""

    path: Path | None
    port: int | None
    listen_address: str
    data_plane: DataPlane
    transport: Transport
    concurrency: int | None
    drain_seconds: int
    debug: bool
    admin_port: int | None
    run_id: str | None
    config_home: Path
    runtime_dir: Path
    state_home: Path | None
    prefixes: EndpointPrefixes
