"""The home directory of a node: ours alone, and of one process at a time.

config.toml     settings
lock            held by the process that owns the home; its pid
api.sock        where that process takes commands
accounts/       one folder per account
certificates/   chains of devices, shared by all accounts
dht/            what DHT nodes remember from run to run
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

from shoal.node.config import home_path
from shoal.node.errors import HomeError, HomeTakenError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_FILE: Final = "lock"
API_SOCKET: Final = "api.sock"
ACCOUNTS: Final = "accounts"
DHT_STATES: Final = "dht"
MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
ADDRESS_MAX: Final = 108  # sys/un.h: sun_path, with its NUL
_PID_MAX: Final = 32  # bytes of a pid in the lock file


class Home:
    """A home directory."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Name it; `prepare` and `lock` make it ours."""
        self.path: Final = home_path(path)
        self._lock: int | None = None

    @property
    def api_socket(self) -> Path:
        """Where the owner of the home takes commands."""
        return self.path / API_SOCKET

    @property
    def accounts(self) -> Path:
        """Where accounts are."""
        return self.path / ACCOUNTS

    def dht_state(self, name: str) -> Path:
        """Return the state file of the DHT node called *name*."""
        return self.path / DHT_STATES / f"{name}.state"

    @property
    def is_locked(self) -> bool:
        """Whether we own it."""
        return self._lock is not None

    def prepare(self) -> None:
        """Make the directory, for us alone.

        Raises:
            HomeError: it cannot be made, or belongs to somebody else.
        """
        try:
            for path in (self.path, self.accounts, self.path / DHT_STATES):
                path.mkdir(mode=MODE, parents=True, exist_ok=True)
                status = path.stat()
                if status.st_uid != os.geteuid():
                    raise HomeError(f"{path} belongs to another user")
                if stat.S_IMODE(status.st_mode) & _OTHERS:
                    path.chmod(MODE)
        except OSError as error:
            raise HomeError(f"cannot use {self.path}: {error.strerror}") from error

    def lock(self) -> None:
        """Own the home until `unlock`, or until the process ends; harmless twice.

        Raises:
            HomeTakenError: another process does.
            HomeError: the lock file cannot be written.
        """
        if self._lock is not None:
            return
        path = self.path / LOCK_FILE
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            raise HomeError(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _read_pid(file)
            os.close(file)
            who = "another process" if pid is None else f"process {pid}"
            raise HomeTakenError(f"{who} owns {self.path}", pid) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._lock = file

    def unlock(self) -> None:
        """Own the home no longer; harmless twice. The lock file stays: removing it is a race."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Give an address for the Unix socket at *path*: they hold 107 bytes, and paths may more."""
    if len(os.fsencode(path)) < ADDRESS_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _read_pid(file: int) -> int | None:
    try:
        return int(os.pread(file, _PID_MAX, 0))
    except (OSError, ValueError):
        return None
