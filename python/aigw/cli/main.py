"""Command line: arguments in, exit code out. Commands are thin, the work is elsewhere."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

import aigw
from aigw.cli import run

USAGE_ERROR = 80


class UsageError(Exception):
    """The command line cannot be used; the text is for the user."""


class _Parser(argparse.ArgumentParser):
    """Reports errors by exception, so that there is one place that prints and exits."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (run-time failure) or 80 (usage)."""
    parser = _Parser(prog="aigw", description="AI gateway on Envoy")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(execute=_version)
    run.add_parser(commands)
    try:
        options = parser.parse_args(arguments)
        return int(options.execute(options))
    except (UsageError, run.OptionsError) as error:
        sys.stderr.write(f"aigw: error: {error}\n")
        return USAGE_ERROR


def _version(_: argparse.Namespace) -> int:
    sys.stdout.write(f"aigw {aigw.__version__}\n")
    return 0
