"""`aigw explain`: what a request would do, without sending it."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigw.cli.errors import CommandError, UsageError
from aigw.cli.prefixes import add_prefixes, prefixes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigw.explain import BackendView, Explanation, LeftOut, Question


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    from aigw.cli.files import add_files, add_output  # noqa: PLC0415 - shared by few commands

    parser = commands.add_parser("explain", help="say what a request would do, without sending it")
    add_files(parser)
    add_prefixes(parser)
    parser.add_argument("--model", required=True, help="model that the client asks for")
    parser.add_argument("--path", default="/v1/chat/completions", help="path of the endpoint")
    parser.add_argument("--host", default="localhost", help="host name that the client uses")
    parser.add_argument("--port", type=int, help="port of the listener; default: the first")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--body", metavar="FILE", help="body of the request; default: a small one")
    add_output(parser)
    parser.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    """Exit code 1 where the client would get an error of the gateway."""
    from aigw.cli import files  # noqa: PLC0415 - `aigw version` needs none of it
    from aigw.console import print_findings, screen_of  # noqa: PLC0415
    from aigw.errors import Code  # noqa: PLC0415
    from aigw.explain import QuestionError, explain, left_out_of  # noqa: PLC0415

    question = _question(options)
    loaded, result = files.read(options.files, prefixes_of(options))
    missing = [item for item in result.diagnostics if item.code is Code.MISSING_LIBRARY]
    print_findings(sys.stderr, [*result.errors, *missing], screen_of(sys.stderr))
    if result.plan is None:
        message = "nothing can be served"
        raise CommandError(message)
    try:
        explanation = explain(result.plan, question, int(time.time()))
    except QuestionError as error:
        raise CommandError(str(error)) from None
    left_out = left_out_of(explanation, loaded, result.diagnostics)
    if options.output == "json":
        document = {**asdict(explanation), "left_out": [asdict(item) for item in left_out]}
        text = json.dumps(document, indent=2, ensure_ascii=False)
    else:
        text = "\n".join([*_lines(explanation), *_left_out_lines(left_out)])
    sys.stdout.write(f"{text}\n")
    return 1 if explanation.is_error else 0


def _question(options: argparse.Namespace) -> "Question":
    from aigw.explain import Question  # noqa: PLC0415

    headers: list[tuple[str, str]] = []
    host = options.host
    for written in options.header:
        name, colon, value = (part.strip() for part in written.partition(":"))
        if not colon or not name:
            message = f"--header: {written!r} is not NAME:VALUE"
            raise UsageError(message)
        if name.lower() == "host":
            host = value
        else:
            headers.append((name.lower(), value))
    return Question(
        options.model, options.path, host, tuple(headers), _body(options.body), options.port
    )


def _body(name: str | None) -> bytes | None:
    if name is None:
        return None
    try:
        return Path(name).read_bytes()
    except OSError as error:
        message = f"--body: {name}: {error.strerror}"
        raise CommandError(message) from None


def _lines(found: "Explanation") -> list[str]:
    lines = [f"model    {found.model}", f"gateway  {found.gateway}, port {found.port}"]
    if found.rule:
        lines.append(f"rule     {found.rule}")
    if found.answer:
        lines.append(f"answer   {found.answer}")
    if found.considered:
        lines.append("not taken, though they come before:" if found.rule else "considered:")
        lines += [f"  {item.rule}: {item.reason}" for item in found.considered]
    for backend in found.backends:
        lines += _backend_lines(backend, found)
    if found.limits:
        lines.append("limits")
        lines += [f"  {name}: {value}" for name, value in found.limits.items()]
    return lines


def _backend_lines(backend: "BackendView", found: "Explanation") -> list[str]:
    """Weights are shares of the group: backends of equal priority."""
    total = sum(item.weight for item in found.backends if item.group == backend.group)
    share = f"{backend.weight} of {total}" if total != backend.weight else "all"
    asked = backend.asked
    lines = [
        f"{backend.group + 1}. {backend.name}",
        f"  schema {backend.schema}, takes {share} of its priority, credential: "
        f"{backend.credential}",
    ]
    lines += [f"  cost {cost}" for cost in backend.costs]
    if not asked.refusal:
        lines.append(f"  price {asked.price or 'unknown'}")
    lines += [f"  through the proxy {proxy}" for proxy in backend.proxies]
    if asked.refusal:
        return [*lines, f"  not asked: {asked.refusal}"]
    lines.append(f"  {asked.method} {asked.url}")
    lines += [f"    {name}: {value}" for name, value in asked.headers]
    return [*lines, f"    {asked.body}"]


def _left_out_lines(found: "Sequence[LeftOut]") -> list[str]:
    lines = [f"  {item.backend}: {item.reason}" for item in found]
    return ["backends that take nothing", *lines] if lines else []
