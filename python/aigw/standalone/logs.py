"""What a run says: on standard error, and in a log that outlives it."""

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Sequence
from logging.handlers import MemoryHandler
from pathlib import Path

import aigw
from aigw.console import print_findings, screen_of
from aigw.errors import Diagnostic, Severity

LIMIT = 5 << 20
"""Bytes of a log; there is one older part of each."""
_RECORD = logging.getLogger("aigw.record")
_KEPT_EARLY = 100_000
_TIME = "%Y-%m-%dT%H:%M:%S%z"
_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING}


class BoundedFile:
    """A log that only its owner reads; when it is full it becomes `<name>.1` and a new one starts.

    A full disk must not stop a gateway: what cannot be written is lost.
    """

    def __init__(self, path: Path) -> None:
        """Opens it; what is there stays.

        Raises:
            OSError: it cannot be opened.
        """
        self._path = path
        self._descriptor, self._size = _opened(path)

    def write(self, data: bytes) -> None:
        """Adds to it; a line is in one part, unless it is longer than a part."""
        with contextlib.suppress(OSError):
            if self._size + len(data) > LIMIT:
                lines, newline, data = data.rpartition(b"\n")
                os.write(self._descriptor, lines + newline)
                self._start_anew()
            self._size += os.write(self._descriptor, data)

    def write_line(self, line: str) -> None:
        """Adds a line, with the time."""
        self.write(f"{time.strftime(_TIME)} {line}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Nothing is written any more."""
        os.close(self._descriptor)

    def _start_anew(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        old = self._descriptor
        self._descriptor, self._size = _opened(self._path)
        os.close(old)


class _FileHandler(logging.Handler):
    def __init__(self, file: BoundedFile) -> None:
        super().__init__()
        self._file = file
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", _TIME))

    def emit(self, record: logging.LogRecord) -> None:
        self._file.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))


class Journal:
    """Keeps what is said from the start on, until there is a file for it."""

    def __init__(self, level: int) -> None:
        """Sets up logging."""
        screen = logging.StreamHandler(sys.stderr)
        screen.addFilter(lambda record: record.name != _RECORD.name)
        self._early = MemoryHandler(_KEPT_EARLY, flushLevel=logging.CRITICAL + 1)
        logging.basicConfig(
            level=level, format="%(levelname)s %(message)s", handlers=[screen, self._early]
        )
        _RECORD.info("aigw %s, process %s", aigw.__version__, os.getpid())

    def open(self, path: Path) -> None:
        """From now on it is written to a file, with all that was said before.

        Raises:
            OSError: it cannot be opened.
        """
        handler = _FileHandler(BoundedFile(path))
        logging.getLogger().addHandler(handler)
        logging.getLogger().removeHandler(self._early)
        self._early.setTarget(handler)
        self._early.close()


def say(text: str) -> None:
    """A line for the user."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    _RECORD.info("%s", text)


def say_findings(findings: Sequence[Diagnostic]) -> None:
    """Findings, as many as fit on a screen; the file has them all."""
    print_findings(sys.stderr, findings, screen_of(sys.stderr))
    for finding in findings:
        text = io.StringIO()
        print_findings(text, [finding])
        _RECORD.log(_LEVELS[finding.severity], "%s", text.getvalue().strip())


def _opened(path: Path) -> tuple[int, int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return descriptor, os.fstat(descriptor).st_size
