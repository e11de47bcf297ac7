"""Files of accounts: read with a limit, written so that a crash leaves the old or the new one.

Written beside the old one, flushed to disk, renamed over it, and the folder flushed: after a
`kill -9` or a power cut at any moment either all of the old content is there or all of the new.
Readable by the owner alone, and so are the folders.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal.identity.errors import AccountFileError

if TYPE_CHECKING:
    from collections.abc import Callable

MODE_FILE: Final = 0o600
MODE_FOLDER: Final = 0o700
TEMPORARY: Final = ".tmp-"  # what is left of an unfinished write begins so, and is swept away
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def _nothing(step: str) -> None:
    """Do nothing at a step of a write; tests do other things there."""


def resolve(folder: Path, name: str) -> Path:
    """Return the path of *name* below *folder*; names are ours, never a peer's.

    Raises:
        AccountFileError: *name* would lead elsewhere.
    """
    if _NAME.fullmatch(name) is None:
        raise AccountFileError(f"not the name of a file of an account: {name[:80]!r}")
    return folder / name


def read_file(path: Path, size_max: int) -> bytes | None:
    """Return the content of *path*; None if there is no such file.

    Raises:
        AccountFileError: it cannot be read, or is larger than *size_max*.
    """
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccountFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > size_max:
        raise AccountFileError(f"{path} is larger than {size_max} bytes")
    return data


def write_file(path: Path, data: bytes, step: Callable[[str], None] = _nothing) -> None:
    """Put *data* at *path*, for good once this returns; missing folders are made.

    *step* is told each step before it is done.

    Raises:
        AccountFileError: it cannot be written; what was there before still is.
    """
    temporary: Path | None = None
    try:
        make_folder(path.parent)
        step("create")
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        temporary = path.with_name(Path(name).name)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), MODE_FILE)
            step("write")
            half = len(data) // 2
            file.write(data[:half])
            file.flush()
            step("write the rest")
            file.write(data[half:])
            file.flush()
            step("flush")
            os.fsync(file.fileno())
        step("rename")
        temporary.replace(path)
        temporary = None
        step("flush the folder")
        flush_folder(path.parent)
    except OSError as error:
        raise AccountFileError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def delete_file(path: Path) -> None:
    """Delete *path*, for good once this returns; nothing if there is no such file.

    Raises:
        AccountFileError: it cannot be deleted.
    """
    try:
        path.unlink()
        flush_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise AccountFileError(f"{path} cannot be deleted: {error.strerror}") from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for the owner alone.

    Raises:
        AccountFileError: it cannot be made.
    """
    if path.is_dir():
        return
    try:
        make_folder(path.parent)
        path.mkdir(mode=MODE_FOLDER, exist_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise AccountFileError(f"the folder {path} cannot be made: {error.strerror}") from error


def write_folder(
    path: Path, files: dict[str, bytes], step: Callable[[str], None] = _nothing
) -> None:
    """Put a new folder with *files* at *path*: with all of them, or it is not there.

    Raises:
        AccountFileError: it cannot be written, or is there already.
    """
    if path.exists():
        raise AccountFileError(f"{path} is there already")
    make_folder(path.parent)
    try:
        temporary = path.with_name(TEMPORARY + path.name)
        shutil.rmtree(temporary, ignore_errors=True)  # of a write that did not end
        temporary.mkdir(mode=MODE_FOLDER)
        for name, data in files.items():
            write_file(resolve(temporary, name), data, step)
        step("rename the folder")
        temporary.rename(path)
        flush_folder(path.parent)
    except OSError as error:
        raise AccountFileError(f"{path} cannot be written: {error.strerror}") from error


def delete_folder(path: Path, step: Callable[[str], None] = _nothing) -> None:
    """Delete a folder and all in it: from the first step on it is there no more.

    Raises:
        AccountFileError: it cannot be deleted.
    """
    try:
        temporary = path.with_name(TEMPORARY + path.name)
        shutil.rmtree(temporary, ignore_errors=True)
        path.rename(temporary)
        flush_folder(path.parent)
        step("delete the files")
        shutil.rmtree(temporary)
    except OSError as error:
        raise AccountFileError(f"{path} cannot be deleted: {error.strerror}") from error


def sweep(folder: Path) -> None:
    """Remove what unfinished writes left in *folder*."""
    for left in folder.glob(f"{TEMPORARY}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                left.unlink()


def flush_folder(path: Path) -> None:
    """Make renames and deletions in *path* survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
