"""A thread's visit to a namespace: sockets that it opens there stay there."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers.namespaces import Namespace

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_OWN: Final = "/proc/thread-self/ns/net"


def enter(namespace: Namespace) -> None:
    """Move the calling thread, and the threads that it starts from now on, into *namespace*."""
    enter_named(namespace.name)


def enter_named(name: str) -> None:
    """Do the same by the name of a namespace."""
    _enter(f"/run/netns/{name}")


@contextlib.contextmanager
def visit(namespace: Namespace) -> Iterator[None]:
    """Be in *namespace* for a while."""
    home = os.open(_OWN, os.O_RDONLY)
    try:
        enter(namespace)
        try:
            yield
        finally:
            _set(home)
    finally:
        os.close(home)


def _enter(path: str) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        _set(number)
    finally:
        os.close(number)


def _set(number: int) -> None:
    """As `os.setns`, which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(number, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
