"""Small files beside a chain: private keys and genesis files; whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final

from shoal.chain.errors import ChainBusyError, ChainFileError
from shoal.chain.genesis import GENESIS_SIZE_MAX, Genesis
from shoal.chain.keys import ChainKey
from shoal.core.driver import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

MODE_KEY: Final = 0o600
MODE_GENESIS: Final = 0o644  # everybody on the chain has it
_KEY_FILE_SIZE_MAX: Final = 256  # bytes


def new_key() -> ChainKey:
    """Make a key of the system's randomness."""
    return ChainKey.generate(SystemEntropy())


def load_key(path: Path) -> ChainKey:
    """Read a private key: 64 hexadecimal digits.

    Raises:
        ChainFileError: there is no such file, or it cannot be read.
        InvalidChainKeyError: it holds no key.
    """
    return ChainKey.parse(_read(path, _KEY_FILE_SIZE_MAX))


def save_key(path: Path, key: ChainKey) -> None:
    """Write a private key, readable by its owner alone.

    Raises:
        ChainFileError: it cannot be written, or there is a file already: keys are never replaced.
    """
    write_new(path, key.export() + "\n", MODE_KEY)


def load_or_create_key(path: Path) -> ChainKey:
    """Read a private key, or make one where there is none.

    Raises:
        ChainFileError: the file cannot be read or written.
        InvalidChainKeyError: it holds no key.
    """
    if not path.exists():
        with contextlib.suppress(ChainFileError):  # another process may have been faster
            save_key(path, new_key())
    return load_key(path)


def load_genesis(path: Path) -> Genesis:
    """Read a genesis file.

    Raises:
        ChainFileError: there is no such file, or it cannot be read.
        InvalidGenesisError: it is no genesis.
    """
    return Genesis.parse(_read(path, GENESIS_SIZE_MAX))


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there yet: whole, on disk, with this mode from its first byte on.

    Raises:
        ChainFileError: it cannot be written, or is there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            os.link(temporary, path)  # unlike a rename, never in place of another file
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise ChainFileError(f"{path} cannot be written: {error.strerror}") from error


class FileLock:
    """Held by one process; the system lets go of it when the process ends, however it does."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            ChainBusyError: another process has it.
            ChainFileError: the file cannot be opened.
        """
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, MODE_KEY)
        except OSError as error:
            raise ChainFileError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise ChainBusyError(
                f"another process has opened the chain in {path.parent}"
            ) from error

    def release(self) -> None:
        """Let go of it."""
        os.close(self._file)


def sync_folder(path: Path) -> None:
    """Make names that were just given in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, size_max: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
        if len(data) > size_max:
            raise ChainFileError(f"{path} is larger than {size_max} bytes")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ChainFileError(f"{path} is no text") from error
    except OSError as error:
        raise ChainFileError(f"{path} cannot be read: {error.strerror}") from error
