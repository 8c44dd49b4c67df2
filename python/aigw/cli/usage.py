"""`aigw usage`: what requests used, and what it cost."""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aigw.cli import run
from aigw.cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from aigw.observe.usage import Question

_PLAIN = ("model", "backend", "route", "identity")
_PAUSE = 2.0


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("usage", help="show tokens and money that requests used")
    parser.add_argument(
        "--by",
        nargs="+",
        default=["model"],
        metavar="WHAT",
        help="model, backend, route, identity, or attribute NAME",
    )
    parser.add_argument("--since", default="30d", help="age (30d, 12h) or date; full hours count")
    parser.add_argument("--output", choices=("table", "json", "csv"), default="table")
    parser.add_argument("--records", action="store_true", help="single records, as JSON lines")
    parser.add_argument("--follow", action="store_true", help="go on as requests end")
    parser.add_argument("--ledger", metavar="DIR", default=os.environ.get("AIGW_LEDGER"))
    run.add_state_home(parser)
    run.add_place(parser)
    parser.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    from aigw.errors import AigwError  # noqa: PLC0415
    from aigw.observe.usage import Question, SinceError, since  # noqa: PLC0415

    try:
        question = Question(_by(options.by), since(options.since, datetime.now(UTC)))
    except SinceError as error:
        message = f"--since: {error}"
        raise UsageError(message) from None
    try:
        if options.records:
            _print_records(options, question)
        else:
            _print_reports(options, question)
    except AigwError as error:
        raise CommandError(str(error)) from None
    return 0


def _by(words: list[str]) -> str | dict[str, str]:
    if len(words) == 1 and words[0] in _PLAIN:
        return words[0]
    if len(words) == 2 and words[0] == "attribute":
        return {"attribute": words[1]}
    message = f"--by: {' '.join(words)!r} is none of {', '.join(_PLAIN)}, attribute NAME"
    raise UsageError(message)


def _print_reports(options: argparse.Namespace, question: "Question") -> None:
    from aigw.observe import usage  # noqa: PLC0415

    last = ""
    while True:
        report = usage.ask(_ledger(options), question)
        if options.output == "json":
            text = usage.as_json(report)
        elif options.output == "csv":
            text = usage.as_csv(report)
        else:
            text = usage.as_table(report, question)
        if text != last:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        if not options.follow:
            return
        last = text
        time.sleep(_PAUSE)


def _print_records(options: argparse.Namespace, question: "Question") -> None:
    from aigw import _core  # noqa: PLC0415
    from aigw.observe import usage  # noqa: PLC0415

    reader = _core.LedgerRecords(_ledger(options))
    while True:
        for record in usage.records(reader, question.since):
            sys.stdout.write(f"{record.decode()}\n")
        sys.stdout.flush()
        if not options.follow:
            return
        time.sleep(_PAUSE / 4)


def _ledger(options: argparse.Namespace) -> str:
    from aigw.standalone.layout import ledger_of  # noqa: PLC0415

    return options.ledger or str(ledger_of(options.state_home, options.runtime_dir))
