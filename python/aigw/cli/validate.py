"""`aigw validate`: everything that is wrong with a configuration, without running it."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigw.compile.compiler import Compiled


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    from aigw.cli.files import add_files, add_output  # noqa: PLC0415 - shared by few commands

    parser = commands.add_parser("validate", help="check files, name everything that is wrong")
    add_files(parser)
    add_output(parser)
    parser.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    """Exit code 1 where something would not be served; warnings are only shown."""
    from aigw.cli import files  # noqa: PLC0415 - `aigw version` needs none of it

    _, result = files.read(options.files)
    if options.output == "json":
        _print_json(result)
    else:
        _print_text(result)
    return 1 if result.errors else 0


def _print_json(result: "Compiled") -> None:
    from aigw.console import as_json  # noqa: PLC0415

    document = {
        "valid": not result.errors,
        "findings": [as_json(item) for item in result.diagnostics],
    }
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _print_text(result: "Compiled") -> None:
    from aigw.console import print_findings  # noqa: PLC0415

    print_findings(sys.stderr, result.diagnostics)
    errors, warnings = len(result.errors), len(result.diagnostics) - len(result.errors)
    served = "nothing can be served"
    if plan := result.plan:
        routes = {rule.route for rule in plan.rules.values()}
        served = f"{_count(len(routes), 'route')} on {_count(len(plan.ports), 'port')}"
    verdict = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}: {served}"
    sys.stdout.write(f"{verdict}\n")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
