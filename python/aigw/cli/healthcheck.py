"""`aigw healthcheck`: whether a running gateway serves, for containers."""

import argparse
import sys
from typing import Any

from aigw.cli import run


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("healthcheck", help="check the gateway that runs here")
    run.add_place(parser)
    parser.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    from aigw.standalone.health import HealthError, check  # noqa: PLC0415

    run.check_run_id(options.run_id)
    try:
        check(options.runtime_dir, options.run_id)
    except HealthError as error:
        sys.stderr.write(f"Health check failed: {error}\n")
        return 1
    return 0
