"""`aigw run`: options of the standalone gateway."""

import argparse
import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigw.cli.errors import UsageError
from aigw.cli.prefixes import add_prefixes, prefixes_of

if TYPE_CHECKING:
    from aigw.standalone.options import RunOptions

_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|(\w+))", re.ASCII)
_UNSUPPORTED = ("mcp_config", "mcp_json")


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("run", help="run a gateway on this machine")
    parser.add_argument(
        "path", nargs="?", type=_path, help="YAML file; default <config-home>/config.yaml"
    )
    parser.add_argument("--port", type=_port, help="port of a generated configuration (1975)")
    listen = os.environ.get("AIGW_LISTEN_ADDRESS") or "127.0.0.1"
    parser.add_argument("--listen-address", type=_address, default=listen, help="IP to listen on")
    parser.add_argument("--data-plane", choices=("module", "extproc"), default="module")
    parser.add_argument("--ext-proc-transport", choices=("native", "grpcio"), default="native")
    parser.add_argument("--concurrency", type=_positive, help="Envoy worker threads")
    parser.add_argument("--drain-seconds", type=_positive, default=10, help="longest drain at stop")
    parser.add_argument("--admin-port", type=_any_port, help="/metrics, /health (1064; 0: any)")
    parser.add_argument("--debug", action="store_true", default=_is_on("AIGW_DEBUG"))
    add_prefixes(parser)
    _add_path(parser, "config-home", "~/.config/aigw", "where config.yaml may be")
    add_state_home(parser)
    add_place(parser)
    parser.add_argument("--mcp-config", help=argparse.SUPPRESS)
    parser.add_argument("--mcp-json", help=argparse.SUPPRESS)
    parser.set_defaults(execute=_execute)


def add_state_home(parser: argparse.ArgumentParser) -> None:
    """The option that says where logs and usage are kept."""
    _add_path(parser, "state-home", None, "what outlives a run (~/.local/state/aigw)")


def add_place(parser: argparse.ArgumentParser) -> None:
    """The options that say which run, and where its files are while it lives."""
    run_id = os.environ.get("AIGW_RUN_ID") or None
    parser.add_argument("--run-id", default=run_id, help="name of the run; default: a time")
    # The documented default; its owner is checked.
    default = f"/tmp/aigw-{os.getuid()}"  # noqa: S108
    _add_path(parser, "runtime-dir", default, "files of runs that are alive")


def check_run_id(name: str | None) -> None:
    """A run id is the name of a directory.

    Raises:
        UsageError: it is a path, or empty.
    """
    if name is not None and not _is_plain(name):
        message = f"--run-id: {name!r} is not a plain name"
        raise UsageError(message)


def _add_path(parser: argparse.ArgumentParser, name: str, default: str | None, what: str) -> None:
    variable = f"AIGW_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable) or default
    parser.add_argument(f"--{name}", type=_path, default=value, help=what)


def _execute(options: argparse.Namespace) -> int:
    run_options = _options(options)
    from aigw.standalone.run import run  # noqa: PLC0415 - `aigw version` needs none of it

    return run(run_options)


def _options(options: argparse.Namespace) -> "RunOptions":
    from aigw.render.envoy import DataPlane  # noqa: PLC0415
    from aigw.standalone.options import RunOptions, Transport  # noqa: PLC0415

    for name in _UNSUPPORTED:
        if getattr(options, name) is not None:
            message = f"--{name.replace('_', '-')}: MCP is not served yet"
            raise UsageError(message)
    check_run_id(options.run_id)
    return RunOptions(
        path=options.path,
        port=options.port,
        listen_address=options.listen_address,
        data_plane=DataPlane[options.data_plane.upper()],
        transport=Transport(options.ext_proc_transport),
        concurrency=options.concurrency,
        drain_seconds=options.drain_seconds,
        debug=options.debug,
        admin_port=options.admin_port,
        run_id=options.run_id,
        config_home=options.config_home,
        runtime_dir=options.runtime_dir,
        state_home=options.state_home,
        prefixes=prefixes_of(options),
    )


def _path(text: str) -> Path:
    if not text:
        message = "an empty path is none"
        raise argparse.ArgumentTypeError(message)
    return _expand(text)


def _expand(path: str) -> Path:
    for found in _VARIABLE.finditer(path):
        name = found[1] or found[2]
        if name not in os.environ:
            message = f"{path}: the variable {name} is not set"
            raise argparse.ArgumentTypeError(message)
    # Not Path.expanduser: it fails for unknown users.
    return Path(os.path.expanduser(os.path.expandvars(path))).absolute()  # noqa: PTH111


def _is_plain(name: str) -> bool:
    return bool(name) and name not in {".", ".."} and not set("/\\") & set(name)


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"1", "true", "yes", "on"}


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= 65535:
        message = f"{text} is not a port"
        raise argparse.ArgumentTypeError(message)
    return port


def _any_port(text: str) -> int:
    return 0 if text == "0" else _port(text)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        message = f"{text} is not an IP address"
        raise argparse.ArgumentTypeError(message) from None


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        message = f"{text} is not a positive number"
        raise argparse.ArgumentTypeError(message)
    return number
