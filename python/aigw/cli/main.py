"""Command line: arguments in, exit code out. Commands are thin, the work is elsewhere."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import NoReturn

import aigw
from aigw.cli import (
    controller,
    explain,
    healthcheck,
    run,
    streams,
    translate,
    usage,
    validate,
)
from aigw.cli.errors import CommandError, UsageError

FAILURE = 1
USAGE_ERROR = 80
INTERRUPTED = 130
"""As shells say it of SIGINT."""


class _Parser(argparse.ArgumentParser):
    """Reports errors by exception, so that there is one place that prints and exits."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (run-time failure) or 80 (usage)."""
    streams.prepare()
    try:
        try:
            return _execute(arguments)
        finally:
            sys.stdout.flush()
    except UsageError as error:
        sys.stderr.write(f"aigw: error: {error}\n")
        return USAGE_ERROR
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
    except BrokenPipeError:
        # Who reads has seen enough.
        streams.discard_output()
    except OSError as error:
        streams.discard_output()
        sys.stderr.write(f"{error.filename or 'cannot write'}: {error.strerror}\n")
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILURE


def _execute(arguments: Sequence[str] | None) -> int:
    parser = _Parser(prog="aigw", description="AI gateway on Envoy")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (run, validate, explain, translate, usage, controller, healthcheck):
        command.add_parser(commands)
    version = commands.add_parser("version", help="print the version")
    version.add_argument("--output", choices=("text", "json"), default="text")
    version.set_defaults(execute=_version)
    options = parser.parse_args(arguments)
    return int(options.execute(options))


def _version(options: argparse.Namespace) -> int:
    text = f"aigw {aigw.__version__}"
    if options.output == "json":
        text = json.dumps({"version": aigw.__version__})
    sys.stdout.write(f"{text}\n")
    return 0
