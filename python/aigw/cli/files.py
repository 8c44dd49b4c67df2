"""Configuration files that commands read, and what is found in them."""

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aigw.api.load import Loaded, Source, load
from aigw.api.secret_sources import Environment
from aigw.api.yaml_source import MAX_BYTES
from aigw.cli.errors import CommandError, UsageError
from aigw.compile.compiler import Compiled, compile_plan
from aigw.extras import missing_extras
from aigw.plan import EndpointPrefixes

STDIN = "-"


def add_files(parser: argparse.ArgumentParser) -> None:
    """The argument that names the files."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML files; - is standard input")


def add_output(parser: argparse.ArgumentParser) -> None:
    """The option that chooses between text and JSON."""
    parser.add_argument("--output", choices=("text", "json"), default="text")


def read(names: Sequence[str], prefixes: EndpointPrefixes | None = None) -> tuple[Loaded, Compiled]:
    """All documents of all files, and what they mean; `prefixes` as `compile_plan` takes them.

    Variables and Secret sources are filled in; a key whose variable is not set is taken to be
    set elsewhere.

    Raises:
        CommandError: a file cannot be read.
        UsageError: standard input is named twice.
    """
    environment = Environment(os.environ, _text, unset_secret="unset")  # noqa: S106 - says so
    if names.count(STDIN) > 1:
        message = "standard input can be read once only"
        raise UsageError(message)
    loaded = load([Source(_shown(name), _read(name)) for name in names], environment)
    paths = prefixes or EndpointPrefixes()
    now = int(time.time())
    return loaded, compile_plan(loaded, now, paths, os.environ, missing_extras())


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name


def _read(name: str) -> str:
    try:
        if name == STDIN:
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(encoding="utf-8")
            return sys.stdin.read(MAX_BYTES + 1)
        return _text(name)
    except UnicodeDecodeError as error:
        message = f"error reading config: {_shown(name)} is not UTF-8 text (byte {error.start})"
        raise CommandError(message) from None
    except OSError as error:
        message = f"error reading config: {name}: {os.strerror(error.errno or 0)}"
        raise CommandError(message) from None


def _text(name: str) -> str:
    """The text, or so much of it that it is known to be too long: a name may be a device."""
    with Path(os.path.expanduser(name)).open(encoding="utf-8") as file:  # noqa: PTH111 - no error
        return file.read(MAX_BYTES + 1)
