"""A whole home in one file: accounts with their conversations, certificates, settings.

    "shoal backup 1", newline | sealed 1 | salt 16 | chunks

A chunk is its length in 4 bytes, big-endian, of which the highest bit marks the last one, and its
body: a piece of a gzipped tar file, sealed by AES-GCM if there is a password. Its nonce is its
number, so none can be left out or moved; the key is Argon2's for password and salt.

A backup appears whole or not at all, and so does what is restored: a crash leaves neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shoal.crypto.password import stretch
from shoal.identity.driver.files import flush_folder, make_folder
from shoal.node.config import CONFIG_FILE
from shoal.node.driver.home import ACCOUNTS, Home
from shoal.node.errors import BackupError, BackupPasswordError, BackupUnsealedError, HomeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.node.driver.account import Account
    from shoal.node.driver.node import Node

MAGIC: Final = b"shoal backup 1\n"
CHUNK: Final = 1_048_576  # bytes of a piece; ours
SALT: Final = 16  # bytes; ours, as of account archives
TAG: Final = 16  # bytes that AES-GCM adds
KEY: Final = 32  # bytes: AES-256
LAST: Final = 0x80000000  # marks the last chunk; ours
NONCE: Final = 12  # bytes: NIST SP 800-38D
CERTIFICATES: Final = "certificates"
CONVERSATIONS: Final = "conversations"
STAGING: Final = ".restoring-"  # begins the name of a folder that nobody needs after a crash
INDEX: Final = "index.sqlite"  # made anew from the rest
_MODES: Final = (0o600, 0o700)  # of files, of folders


async def write_backup(node: Node, path: Path, password: str = "") -> int:
    """Write everything of *node* to *path*, which it replaces; return how many bytes that took.

    It may run meanwhile: each conversation is copied between two changes of it.

    Raises:
        BackupError: it cannot be written.
    """
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # for us alone
    except OSError as error:
        raise BackupError(f"cannot write beside {path}: {error.strerror}") from error
    try:
        with os.fdopen(number, "wb") as file:
            sink = await asyncio.to_thread(_Sink, file, password)  # Argon2 takes its time
            with tarfile.open(fileobj=sink, mode="w|gz") as tar:  # type: ignore[call-overload]  # it writes
                _add_tree(tar, node.home / CONFIG_FILE, CONFIG_FILE)
                _add_tree(tar, node.home / CERTIFICATES, CERTIFICATES)
                for account in node.accounts:
                    await _add_account(tar, account)
            sink.finish()
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.replace(name, path)  # noqa: PTH105 - a moment, and nothing to wait for
        flush_folder(path.parent)
    except OSError as error:
        raise BackupError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108 - the same
    for account in node.accounts:
        await account.vault.backed_up()
    return size


async def _add_account(tar: tarfile.TarFile, account: Account) -> None:
    """Add an account; each of its conversations in that one's thread, where it does not change."""
    folder = account.vault.folder.path
    place = f"{ACCOUNTS}/{folder.name}"
    skipped = {CONVERSATIONS, *(f"{INDEX}{end}" for end in ("", "-wal", "-shm"))}
    await account.pool.run(partial(_add_tree, tar, folder, place, skipped))
    known = {str(each.id): each.id for each in account.conversations.list()}
    repositories = await account.pool.run(partial(_listed, folder / CONVERSATIONS))
    for path in repositories:
        job = partial(_add_tree, tar, path, f"{place}/{CONVERSATIONS}/{path.name}")
        if path.name in known:
            await account.talking.read(known[path.name], job)
        else:
            await account.pool.run(job)


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _add_tree(
    tar: tarfile.TarFile, path: Path, name: str, skipped: frozenset[str] | set[str] = frozenset()
) -> None:
    """Add a file or a folder with all in it; links, and what is rebuilt, are left out."""
    if path.is_symlink():
        return
    if path.is_dir():
        tar.addfile(_info(name, tarfile.DIRTYPE, _MODES[1], 0))
        for each in sorted(path.iterdir()):
            if each.name not in skipped:
                _add_tree(tar, each, f"{name}/{each.name}")
        return
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            tar.addfile(_info(name, tarfile.REGTYPE, _MODES[0], size), _Exactly(file, size))
    except FileNotFoundError:
        return  # it was replaced or removed meanwhile


def _info(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, size
    return info


def restore_backup(home: Home, path: Path, password: str = "") -> list[str]:
    """Put a backup into a home without accounts; return the names of what it holds. Blocks.

    Raises:
        BackupError: it is none, or damaged, or cut short.
        BackupPasswordError: it has another password.
        BackupUnsealedError: it has none, and one was given.
        HomeError: the home has accounts, or cannot be used.
        HomeTakenError: a node runs there.
    """
    home.prepare()
    home.lock()
    try:
        if any(home.accounts.iterdir()):
            raise HomeError(f"{home.path} has accounts already; choose another with --home")
        for old in home.path.glob(f"{STAGING}*"):
            shutil.rmtree(old)
        staging = Path(tempfile.mkdtemp(dir=home.path, prefix=STAGING))
        try:
            with path.open("rb") as file:
                _unpack(_Source(file, password), staging)
            return _settle(staging, home)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise HomeError(f"cannot restore {path}: {error.strerror}") from error
    finally:
        home.unlock()


def _unpack(source: _Source, staging: Path) -> None:
    """Unpack into *staging*: plain files and folders in known places, and nothing else."""
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as tar:  # type: ignore[call-overload]  # it reads
            for member in tar:
                place = _place(staging, member)
                if member.isdir():
                    make_folder(place)
                    continue
                make_folder(place.parent)
                content = tar.extractfile(member)
                assert content is not None, "it is a file"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                with os.fdopen(os.open(place, flags, _MODES[0]), "wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"no backup, or damaged: {error}") from error
    source.check_end()


def _place(staging: Path, member: tarfile.TarInfo) -> Path:
    """Return where a member goes.

    Raises:
        BackupError: it is no file and no folder, or wants to be elsewhere.
    """
    parts = PurePosixPath(member.name).parts
    is_known = bool(parts) and parts[0] in (ACCOUNTS, CERTIFICATES, CONFIG_FILE)
    if not is_known or ".." in parts or not (member.isfile() or member.isdir()):
        raise BackupError(f"{member.name[:80]!r} does not belong into a backup")
    return staging.joinpath(*parts)


def _settle(staging: Path, home: Home) -> list[str]:
    """Put what was unpacked into its place; the accounts last, all in one step."""
    found = []
    accounts = staging / ACCOUNTS
    make_folder(accounts)
    if (config := staging / CONFIG_FILE).exists() and not (home.path / CONFIG_FILE).exists():
        config.rename(home.path / CONFIG_FILE)
        found.append(CONFIG_FILE)
    for path in _files_below(staging / CERTIFICATES):
        target = home.path / path.relative_to(staging)
        make_folder(target.parent)
        if not target.exists():
            path.rename(target)
    found += sorted(each.name for each in accounts.iterdir())
    os.sync()
    accounts.replace(home.accounts)  # an empty folder is replaced as one step
    flush_folder(home.path)
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    return (each for each in folder.rglob("*") if each.is_file())


class _Exactly(io.RawIOBase):
    """As many bytes of a file as were announced; zeros where it has become shorter meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__()
        self._file, self._left = file, size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        self._left -= wanted
        return data.ljust(wanted, b"\0")


class _Sink:
    """Takes what tarfile writes, and writes it in chunks."""

    def __init__(self, file: Any, password: str) -> None:
        self._file = file
        self._buffer = bytearray()
        self._number = 0
        salt = os.urandom(SALT)
        self._seal = AESGCM(stretch(password, salt, KEY)) if password else None
        file.write(MAGIC + bytes([bool(password)]) + salt)

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._buffer += data
        while len(self._buffer) > CHUNK:
            self._put(bytes(self._buffer[:CHUNK]), 0)
            del self._buffer[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk."""
        self._put(bytes(self._buffer), LAST)

    def _put(self, data: bytes, mark: int) -> None:
        size = len(data) + (TAG if self._seal is not None else 0)
        head = (size | mark).to_bytes(4, "big")
        if self._seal is not None:
            data = self._seal.encrypt(self._number.to_bytes(NONCE, "big"), data, MAGIC + head)
        self._file.write(head + data)
        self._number += 1


class _Source:
    """Gives tarfile what the chunks hold."""

    def __init__(self, file: IO[bytes], password: str) -> None:
        self._file = file
        self._buffer = bytearray()
        self._number = 0
        self._is_over = False
        head = file.read(len(MAGIC) + 1 + SALT)
        if len(head) < len(MAGIC) + 1 + SALT or not head.startswith(MAGIC):
            raise BackupError("no backup of Shoal")
        is_sealed, salt = bool(head[len(MAGIC)]), head[-SALT:]
        if is_sealed and not password:
            raise BackupPasswordError("the backup has a password")
        if password and not is_sealed:
            raise BackupUnsealedError("the backup has no password: anybody can have written it")
        self._open = AESGCM(stretch(password, salt, KEY)) if is_sealed else None

    def read(self, size: int) -> bytes:
        """Return as many bytes, or fewer at the end."""
        while len(self._buffer) < size and not self._is_over:
            self._buffer += self._chunk()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def check_end(self) -> None:
        """Check that the last chunk is there.

        Raises:
            BackupError: it is cut short.
        """
        while not self._is_over:
            self._chunk()

    def _chunk(self) -> bytes:
        head = self._file.read(4)
        number = int.from_bytes(head, "big")
        size = number & (LAST - 1)
        data = self._file.read(size) if size <= CHUNK + TAG else b""
        if len(head) < 4 or len(data) < size:  # noqa: PLR2004 - bytes of a length
            raise BackupError("the backup is cut short, or damaged")
        self._is_over = bool(number & LAST)
        if self._open is None:
            return data
        try:
            opened = self._open.decrypt(self._number.to_bytes(NONCE, "big"), data, MAGIC + head)
        except InvalidTag as error:
            if self._number:
                raise BackupError("the backup is damaged") from error
            raise BackupPasswordError("another password, or damaged") from error
        self._number += 1
        return opened


def is_sealed(path: Path) -> bool:
    """Whether a backup has a password.

    Raises:
        HomeError: it cannot be read.
        BackupError: it is none.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC) + 1)
    except OSError as error:
        raise HomeError(f"cannot read {path}: {error.strerror}") from error
    if len(head) <= len(MAGIC) or not head.startswith(MAGIC):
        raise BackupError(f"{path} is no backup of Shoal")
    return bool(head[-1])
