"""Ports of a run: taken by nobody else, by no other run that starts at the same time either."""

import contextlib
import errno
import socket
from collections.abc import Iterable, Iterator

from aigw.standalone.errors import RunError


@contextlib.contextmanager
def claimed(numbers: Iterable[int], address: str) -> Iterator[None]:
    """Keeps other runs off these ports until Envoy listens.

    Envoys of one user share a port without an error, and requests are dealt out between them. A
    claim is an abstract Unix socket: it lives where ports live, in the network namespace, and
    dies with us.

    Raises:
        RunError: a port is taken, or cannot be listened on: Envoy would say so late and at length.
    """
    with contextlib.ExitStack() as stack:
        for number in numbers:
            claim = stack.enter_context(socket.socket(socket.AF_UNIX))
            _bind(claim, f"\0aigw {address} {number}", number, address)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                _bind(probe, (address, number), number, address)
        yield


def _bind(endpoint: socket.socket, where: str | tuple[str, int], number: int, address: str) -> None:
    try:
        endpoint.bind(where)
    except OSError as error:
        message = f"cannot listen on {address}, port {number}: {error.strerror}"
        if error.errno == errno.EADDRINUSE:
            message = f"port {number} is in use"
        raise RunError(message) from None
