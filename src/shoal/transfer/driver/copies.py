"""Files that are whole: how they look, whether they are still what was offered."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.transfer.errors import (
    DiskFullError,
    FileChangedError,
    FileMissingError,
    FolderError,
)
from shoal.transfer.records import HeldFile, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

PIECE: Final = 1024 * 1024  # bytes read at once, ours
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Let errors of the system be errors of ours.

    Raises:
        DiskFullError: there is no room.
        FileMissingError: it is not there.
        FolderError: anything else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissingError(path, "there is no such file") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno in _FULL:
            raise DiskFullError(path, reason) from error
        raise FolderError(path, reason) from error


def stamp_of(status: os.stat_result) -> Stamp:
    """Return how a file looks."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def open_copy(path: Path) -> int:
    """Open a regular file to read it.

    Raises:
        FileMissingError: it is not there.
        FolderError: it cannot be read, or is no regular file.
    """
    with explained(path):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FolderError(path, "not a regular file")
    return file


def take_stamp(path: Path, tell: Callable[[int], None] | None = None) -> tuple[Stamp, str]:
    """Return how a file looks and its SHA3-512; *tell* is told how much was read, as it goes.

    Raises:
        FileMissingError: it is not there.
        FileChangedError: it changed meanwhile.
        FolderError: it cannot be read.
    """
    file = open_copy(path)
    try:
        with explained(path):
            before = stamp_of(os.fstat(file))
            found = hashlib.sha3_512()
            while piece := os.read(file, PIECE):
                found.update(piece)
                if tell is not None:
                    tell(len(piece))
            if stamp_of(os.fstat(file)) != before:
                raise FileChangedError(path, "it changes while it is read")
        return before, found.hexdigest()
    finally:
        os.close(file)


def check_copy(held: HeldFile) -> HeldFile:
    """See that a file is still what was offered, and return it with how it looks now.

    It is read only if it looks otherwise than when it was last checked.

    Raises:
        FileMissingError: it is not there.
        FileChangedError: it is another one.
        FolderError: it cannot be read.
    """
    path = Path(held.path)
    file = open_copy(path)
    try:
        now = stamp_of(os.fstat(file))
    finally:
        os.close(file)
    if now == held.stamp:
        return held
    if now.size != held.stamp.size:
        raise FileChangedError(path, "it has another size")
    stamp, found = take_stamp(path)
    if found != held.sha3_512:
        raise FileChangedError(path, "it has another content")
    return replace(held, stamp=stamp)


def remove_copy(held: HeldFile) -> None:
    """Delete a copy of ours, unless somebody put another file in its place."""
    path = Path(held.path)
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == held.stamp.inode:
            path.unlink()


def read_copy(path: Path, start: int, end: int, piece: int) -> Generator[bytes, None, None]:
    """Yield the bytes of a file from *start* up to *end*, *piece* of them at a time.

    Raises:
        FileMissingError: it is not there.
        FileChangedError: it ends before.
        FolderError: it cannot be read.
    """
    file = open_copy(path)
    try:
        while start < end:
            with explained(path):
                data = os.pread(file, min(piece, end - start), start)
            if not data:
                raise FileChangedError(path, "it has become shorter")
            start += len(data)
            yield data
    finally:
        os.close(file)
