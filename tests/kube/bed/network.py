"""A network of one's own, where fixed ports meet nobody.

Linux gives each thread its network namespace, and children and later threads inherit it. So the
thread that runs the tests moves into a fresh one, and everything that a test starts is there with
it. Without the privilege to do so, tests stay in the network of the machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_HERE = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def private_network() -> Iterator[bool]:
    """Moves the calling thread into a network with nothing but a loopback interface.

    The value says whether that worked.
    """
    before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        isolated = _unshare()
        if isolated:
            _raise_loopback()
        try:
            yield isolated
        finally:
            if isolated:
                _check(_libc.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def _unshare() -> bool:
    if _libc.unshare(_CLONE_NEWNET) == 0:
        return True
    if ctypes.get_errno() == errno.EPERM:
        return False
    raise _error()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(channel, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(channel, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _check(result: int) -> None:
    if result != 0:
        raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
