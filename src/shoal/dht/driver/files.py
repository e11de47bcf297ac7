"""The state file on disk: read with care, written so that a crash leaves the old or the new one."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError
from shoal.dht.errors import StateFileError
from shoal.dht.state import (
    STATE_SIZE_MAX,
    NodeState,
    decode_ports,
    decode_state,
    encode_ports,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_log = logging.getLogger(__name__)

MODE: Final = 0o600  # the nodes we know and the values we store concern nobody else
_PORT_FILE_SIZE_MAX: Final = 64


def read_state(path: Path) -> NodeState | None:
    """Return what *path* holds, or None if there is no such file.

    A file that is no state is renamed to `<path>.corrupt`, with a warning: a node must start after
    a disk error too, and nothing is lost that the network could not give again.

    Raises:
        StateFileError: the file exists and cannot be read.
    """
    data = _read(path, STATE_SIZE_MAX)
    if data is None:
        return None
    try:
        state = decode_state(data, time.monotonic(), time.time())
    except DecodeError as error:
        aside = path.with_name(path.name + ".corrupt")
        _log.warning("%s is no DHT state (%s); kept as %s, starting afresh", path, error, aside)
        try:
            path.replace(aside)
        except OSError as problem:
            raise StateFileError(
                f"{path} is no DHT state, and cannot be renamed: {problem.strerror}"
            ) from problem
        return None
    if state.skipped:
        _log.warning("%s: %d entries could not be read and were skipped", path, state.skipped)
    return state


def read_ports(path: Path) -> tuple[int, int]:
    """Return the IPv4 and IPv6 port of the last run, kept beside the state; 0 where unknown."""
    data = _read(port_file(path), _PORT_FILE_SIZE_MAX)
    if data is None:
        return 0, 0
    try:
        return decode_ports(data)
    except DecodeError as error:
        _log.warning("%s ignored: %s", port_file(path), error)
        return 0, 0


def write_ports(path: Path, ipv4: int, ipv6: int) -> None:
    """Remember the ports beside the state.

    Raises:
        StateFileError: it cannot be written.
    """
    write_atomic(port_file(path), encode_ports(ipv4, ipv6))


def port_file(path: Path) -> Path:
    """Return where OpenDHT keeps the ports that belong to the state at *path*."""
    return path.with_name(path.name + "_port.txt")


def write_atomic(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Replace *path* by *data*: written beside it, flushed to disk, renamed, readable by us alone.

    *data* may come in chunks, so that what is large need not be in memory at once.

    Raises:
        StateFileError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()  # of a crashed process that had our id
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, FileNotFoundError):
            raise StateFileError(f"there is no directory {path.parent}") from error
        raise StateFileError(f"{path} cannot be written: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, size_max: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > size_max:
        raise StateFileError(f"{path} is larger than {size_max} bytes: is it a DHT state file?")
    return data
