"""`aigw controller`: the operator and what Envoy Gateway and data planes ask it, in one process."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigw.cli.errors import CommandError
from aigw.cli.pods import add_pods, pods_of
from aigw.cli.prefixes import add_prefixes, prefixes_of

if TYPE_CHECKING:
    from aigw.plan import Plan

logger = logging.getLogger(__name__)

_EXTRA = "the controller needs more packages: pip install 'aigw[kubernetes]'"
_GRACE_SECONDS = 5.0


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("controller", help="serve a Kubernetes cluster")
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="default: the pod's account"
    )
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE", "envoy-ai-gateway-system"),
        help="where the controller runs (POD_NAMESPACE)",
    )
    parser.add_argument(
        "--watch-namespaces", default="", metavar="A,B", help="default: all namespaces"
    )
    parser.add_argument("--port", default="0.0.0.0:1063", help="hooks of Envoy Gateway")
    parser.add_argument("--stream-port", default="0.0.0.0:1065", help="data planes")
    parser.add_argument(
        "--extproc-socket",
        default="/etc/ai-gateway-extproc-uds/run.sock",
        metavar="PATH",
        help="where Envoys find their sidecar",
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warn", "error"), default="info")
    add_prefixes(parser)
    add_pods(parser)
    parser.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    level = {"warn": "WARNING"}.get(options.log_level, options.log_level.upper())
    logging.basicConfig(
        level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        import aigw.controller  # noqa: F401, PLC0415
    except ImportError:
        raise CommandError(_EXTRA) from None
    from aigw.controller import ApiError  # noqa: PLC0415

    try:
        asyncio.run(_Process(options).run())
    except ApiError as error:
        raise CommandError(str(error)) from None
    return 0


class _Process:
    """All servers around one controller."""

    def __init__(self, options: argparse.Namespace) -> None:
        from aigw.controller import Api, Controller, Delivery, Options, Pods  # noqa: PLC0415
        from aigw.extension import (  # noqa: PLC0415
            ConfigStream,
            ExtensionServer,
            ServerOptions,
            Settings,
        )

        self._options = options
        self._plan: Plan | None = None
        self._stream = ConfigStream(self._on_report)
        self._delivery = Delivery(self._stream, self._on_plan)
        self._extension = ExtensionServer(
            lambda: self._plan,
            Settings(socket=options.extproc_socket),
            ServerOptions(address=options.port),
        )
        watched = tuple(
            name.strip() for name in options.watch_namespaces.split(",") if name.strip()
        )
        api = Api(options.kubeconfig)
        self._pods = Pods(api, pods_of(options, watched))
        self._controller = Controller(
            api,
            Options(
                namespace=options.namespace,
                identity=f"{socket.gethostname()}_{os.getpid()}",
                prefixes=prefixes_of(options),
                watched=watched,
            ),
            self._delivery,
            self._pods.data_planes,
        )

    def _on_plan(self, plan: "Plan | None") -> None:
        """Envoy Gateway asks a few times, then waits for a change: at first it finds no server."""
        from aigw.plan import Plan  # noqa: PLC0415

        is_first, self._plan = self._plan is None, plan or Plan({}, (), {}, {})
        if is_first:
            try:
                self._extension.start()
            except RuntimeError as error:
                raise CommandError(str(error)) from None
            logger.info("ready")

    def _on_report(self, gateway: str) -> None:
        self._controller.on_report(gateway)

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT.

        Raises:
            CommandError: an address cannot be had.
        """
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # From when kopf runs, it is kopf's to hear them: then the controller ends.
            loop.add_signal_handler(number, task.cancel if task else lambda: None)
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await self._pods.serve(self._stream, _GRACE_SECONDS)
            except RuntimeError as error:
                raise CommandError(str(error)) from None
            try:
                await self._controller.run()
            except* CommandError as group:
                raise CommandError(str(group.exceptions[0])) from None
        await self._pods.stop()
        await asyncio.to_thread(self._extension.stop, _GRACE_SECONDS)
