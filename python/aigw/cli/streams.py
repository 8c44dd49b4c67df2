"""Standard streams of commands: always there, and able to show every text."""

import io
import os
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def prepare() -> None:
    """Streams that are closed become empty; what a stream cannot show is escaped.

    Pipes and files get UTF-8 whatever the locale is: they are for other programs. The escapes are
    those of JSON for all that UTF-8 itself cannot show.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            # The lowest free descriptor: the one that was closed.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def discard_output() -> None:
    """Nobody gets what is still to be written to standard output; the exit must not try."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.close(descriptor)
