"""What Envoy prints: passed on to our own streams, and kept in logs of the run."""

import contextlib
import fcntl
import os
import select
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aigw.standalone.logs import BoundedFile

_STDOUT = 1
_PIECE = 1 << 16
_PIPE_SIZE = 1 << 20
# Who reads our output may have stopped reading: nobody waits for that at the end.
_LAST_WORDS = 2.0


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where Envoy prints to."""

    stdout: int
    errors: BoundedFile

    def error(self, line: str) -> None:
        """One of its log lines, as it is: level, logger, text."""
        self.errors.write_line(line)
        sys.stderr.write(f"envoy: {line}\n")


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Outputs]:
    """The streams of an Envoy, of all those that follow each other in a run.

    Its standard output has the access log, which is much: a thread of its own passes it on.
    """
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(contextlib.closing(BoundedFile(folder / "stderr.log")))
        copy = BoundedFile(folder / "stdout.log")
        source, sink = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        thread = threading.Thread(target=_pass_on, args=(source, copy), daemon=True)
        thread.start()
        stack.callback(thread.join, _LAST_WORDS)
        stack.callback(os.close, sink)
        yield Outputs(sink, errors)


def _pass_on(source: int, copy: BoundedFile) -> None:
    is_read = True
    with contextlib.closing(copy), open(source, "rb", buffering=0) as pipe:
        while piece := pipe.read(_PIECE):
            copy.write(piece)
            if is_read:
                is_read = _written(piece)


def _written(data: bytes) -> bool:
    """Whether somebody reads our output still."""
    while data:
        try:
            data = data[os.write(_STDOUT, data) :]
        except BlockingIOError:
            select.select([], [_STDOUT], [])
        except OSError:
            return False
    return True
