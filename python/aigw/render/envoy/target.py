"""Where a rendered configuration will run."""

from dataclasses import dataclass
from enum import StrEnum

from aigw.errors import RenderError


class DataPlane(StrEnum):
    """How the core is mounted in Envoy."""

    MODULE = "module"
    EXTPROC = "ext_proc"


@dataclass(frozen=True, slots=True)
class EnvoyTarget:
    """Paths and choices of one Envoy process; all paths are absolute.

    `runtime_dir` holds `config.json` and `credentials.json` for the core, `xds_dir` the files
    that Envoy watches. `ca_file` is the bundle of trusted authorities (empty: TLS to a provider
    cannot be rendered). `default_access_log` gets our own format where the user configured
    nothing; empty means no log.
    """

    data_plane: DataPlane
    runtime_dir: str
    xds_dir: str
    admin_socket: str
    module_path: str = ""
    extproc_socket: str = ""
    ca_file: str = ""
    listen_address: str = "127.0.0.1"
    default_access_log: str = "/dev/stdout"
    node_id: str = "aigw"

    def __post_init__(self) -> None:
        """The path that the data plane needs must be given."""
        needed = {
            DataPlane.MODULE: ("module_path", self.module_path),
            DataPlane.EXTPROC: ("extproc_socket", self.extproc_socket),
        }
        name, value = needed[self.data_plane]
        if not value:
            message = f"the {self.data_plane.value} data plane needs {name}"
            raise RenderError(message)
