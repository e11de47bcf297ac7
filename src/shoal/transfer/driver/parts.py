"""The part of a file that is here, beside where the whole will be.

`.COMMIT_TRANSFER.part` grows by appending, its SHA3-512 along with it. Once it is whole and right,
it is flushed to disk and linked to its name, or to one with a number if that is taken: nothing that
is there is ever replaced, and a `kill -9` at any moment leaves the part, or the part and the file,
or the file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.transfer.driver.copies import PIECE, explained, stamp_of
from shoal.transfer.errors import DiskFullError
from shoal.transfer.naming import numbered
from shoal.transfer.records import HeldFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shoal.transfer.records import WantedFile

NUMBERS_MAX: Final = 10_000  # ours: files of one name in a folder
_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def part_path(wanted: WantedFile) -> Path:
    """Return where the part of a file is; nothing that a peer chose is in its name but digits."""
    return Path(wanted.folder) / f".{wanted.commit}_{wanted.transfer_id}.part"


class PartFile:
    """One part. Its methods block: call them in a thread. They wait for one another."""

    def __init__(self, wanted: WantedFile, *, reserve: int = 0) -> None:
        """Open the part, or make it, for *wanted*; *reserve* bytes of the disk are left free.

        Raises:
            DiskFullError: there is no room for the whole.
            FolderError: it cannot be opened.
        """
        self.wanted = wanted
        self.path = part_path(wanted)
        self._hash = hashlib.sha3_512()
        self._lock = threading.RLock()  # closing must not overtake a write
        with explained(self.path):
            self.path.parent.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self.path, flags, _MODE)
        try:
            self._prepare(reserve)
        except BaseException:
            os.close(self._file)
            raise

    def _prepare(self, reserve: int) -> None:
        with explained(self.path):
            self.size = os.fstat(self._file).st_size
            if self.size > self.wanted.size:
                os.ftruncate(self._file, 0)
                self.size = 0
            free = os.statvfs(self.path.parent)
            missing = self.wanted.size - self.size
            if missing and free.f_bavail * free.f_frsize < missing + reserve:
                raise DiskFullError(self.path, f"{missing} bytes are missing")
            while piece := os.read(self._file, PIECE):
                self._hash.update(piece)

    def append(self, pieces: Iterable[bytes]) -> None:
        """Add to it.

        Raises:
            DiskFullError: there is no room.
            FolderError: it cannot be written.
        """
        for some in _gathered(pieces):
            with self._lock, explained(self.path):
                self._write(some)
                self._hash.update(some)

    def _write(self, data: bytes) -> None:
        rest, at = memoryview(data), self.size
        while rest:  # less is taken where the disk is nearly full, or a signal came
            written = os.pwrite(self._file, rest, at)
            rest, at = rest[written:], at + written
        self.size = at

    def reset(self) -> None:
        """Throw its content away.

        Raises:
            FolderError: it cannot be written.
        """
        with self._lock, explained(self.path):
            os.ftruncate(self._file, 0)
            self.size = 0
            self._hash = hashlib.sha3_512()

    def finish(self) -> HeldFile | None:
        """Give it its name and close it, if it is what was offered; empty it and say None if not.

        Raises:
            DiskFullError: there is no room.
            FolderError: it cannot be written or named.
        """
        wanted = self.wanted
        if self.size != wanted.size or self._hash.hexdigest() != wanted.sha3_512:
            self.reset()
            return None
        with self._lock, explained(self.path):
            os.fsync(self._file)
            target = _name(self.path, wanted.name)
            _flush_folder(target.parent)
            stamp = stamp_of(os.fstat(self._file))
        self.close()
        return HeldFile(
            wanted.conversation,
            wanted.commit,
            wanted.transfer_id,
            str(target),
            wanted.sha3_512,
            stamp,
        )

    def close(self) -> None:
        """Close it; harmless twice."""
        with self._lock:
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces to some that are large.

    A thread that hashes or writes waits for the interpreter's lock after each of them, for longer
    than a packet takes where another thread is busy.
    """
    some: list[bytes] = []
    size = 0
    for piece in pieces:
        some.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)


def remove_part(wanted: WantedFile) -> None:
    """Delete a part, if it is there."""
    with contextlib.suppress(OSError):
        part_path(wanted).unlink()


def _name(part: Path, name: str) -> Path:
    """Give a part its name, or one with a number; return which.

    Raises:
        OSError: it cannot be named.
    """
    for number in range(1, NUMBERS_MAX):
        target = part.with_name(name if number == 1 else numbered(name, number))
        try:
            os.link(part, target, follow_symlinks=False)
        except FileExistsError:
            if target.exists() and part.samefile(target):  # killed before the next line, last time
                part.unlink()
                return target
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            try:  # a file system without links: reserve the name, then replace that
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
            except FileExistsError:
                continue
            part.replace(target)
            return target
        part.unlink()
        return target
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
