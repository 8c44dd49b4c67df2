"""Configuration files that commands read, and what is found in them."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aigw.api.load import Loaded, Source, load
from aigw.api.secret_sources import Environment
from aigw.cli.errors import CommandError
from aigw.compile.compiler import Compiled, compile_plan
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
    """
    environment = Environment(os.environ, _text, unset_secret="unset")  # noqa: S106 - says so
    loaded = load([Source(_shown(name), _read(name)) for name in names], environment)
    return loaded, compile_plan(loaded, int(time.time()), prefixes or EndpointPrefixes())


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name


def _read(name: str) -> str:
    try:
        if name == STDIN:
            return sys.stdin.buffer.read().decode("utf-8")
        return _text(name)
    except UnicodeDecodeError as error:
        message = f"error reading config: {_shown(name)} is not UTF-8 text (byte {error.start})"
        raise CommandError(message) from None
    except OSError as error:
        message = f"error reading config: {name}: {os.strerror(error.errno or 0)}"
        raise CommandError(message) from None


def _text(name: str) -> str:
    return Path(name).expanduser().read_text(encoding="utf-8")
