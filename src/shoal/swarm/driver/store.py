"""A conversation's repository on disk: an ordinary bare git repository.

Objects wait in memory until the head moves, or until there are many; then they are written and
synced, the few each in a file of its own and the many as one pack, and only then the head. So a
crash leaves the old head or the new one, each with all that it reaches; at worst a few files that
nothing names, which the next packing removes. One process has the repository: its home is locked.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, FileFormatException
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.object_store import DiskObjectStore
from dulwich.objects import ObjectID
from dulwich.pack import Pack, PackData, UnpackedObject, load_pack_index

from shoal.core import CommitId, DecodeError
from shoal.swarm.errors import ObjectMissingError, RepositoryError
from shoal.swarm.store import ObjectKind, object_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shoal.swarm.ledger import Ledger

LOOSE_AT_ONCE: Final = 64  # ours: with more than these a pack is quicker, and opens quicker
WAITING_MAX: Final = 8_192  # ours: objects
WAITING_BYTES_MAX: Final = 33_554_432  # ours
LOOSE_FILES_MAX: Final = 512  # ours: more are packed when the repository is opened
_NUMBERS: Final = {1: ObjectKind.COMMIT, 2: ObjectKind.TREE, 3: ObjectKind.BLOB}
TYPE_NUMBERS: Final = {kind: number for number, kind in _NUMBERS.items()}
_DAMAGE: Final = (  # what dulwich and we find in files that are not whole
    *(KeyError, IndexError, ValueError, AssertionError, struct.error, zlib.error),
    *(ApplyDeltaError, ChecksumMismatch, FileFormatException),
)
_MAIN: Final = Path("refs", "heads", "main")
_KEPT: Final = Path("refs", "kept")  # ours: one file per tip, named like it
_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"


class DiskStore:
    """`GitStore` in a folder, which is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger: Ledger | None = None
        self._waiting: dict[bytes, tuple[ObjectKind, bytes]] = {}
        self._waiting_bytes = 0
        try:
            self._prepare()
            self._head = self._read_head()
        except OSError as error:
            raise RepositoryError(path, error.strerror or str(error)) from error
        self._objects = DiskObjectStore(str(path / "objects"), fsync_object_files=True)
        self._objects.prune(grace_period=0)  # packs that a process was killed at
        self._mend_packs()
        self.tidied_bytes = self.pack_bytes  # what they were when all of it was needed
        if self._count_loose() > LOOSE_FILES_MAX:
            self._objects.pack_loose_objects()

    def read(self, object_id: bytes) -> tuple[ObjectKind, bytes]:
        """Return kind and content of an object.

        Raises:
            ObjectMissingError: it is not there, or damaged.
        """
        found = self._waiting.get(object_id)
        if found is not None:
            return found
        return self._read_kept(object_id)

    def contains(self, object_id: bytes) -> bool:
        """Say whether an object is there."""
        return object_id in self._waiting or self._is_kept(object_id)

    def add(self, kind: ObjectKind, content: bytes) -> bytes:
        """Keep an object until the head moves, and for ever from then on."""
        added = object_id(kind, content)
        if added not in self._waiting:
            self._waiting[added] = (kind, content)
            self._waiting_bytes += len(content)
            if len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_BYTES_MAX:
                self._write_waiting()
        return added

    def add_all(self, objects: Iterable[tuple[ObjectKind, bytes]]) -> None:
        """Keep many objects."""
        for kind, content in objects:
            self.add(kind, content)

    @property
    def head(self) -> CommitId | None:
        """The tip of the main branch."""
        return self._head

    def set_head(self, commit: CommitId) -> None:
        """Move the tip; when this returns it is on disk, with all that it reaches.

        Raises:
            RepositoryError: the disk is full or gone; the tip is where it was.
        """
        self._write_waiting()
        self._write(self.path / _MAIN, str(commit).encode() + b"\n")
        self._head = CommitId(commit)

    @property
    def kept(self) -> tuple[CommitId, ...]:
        """Tips of before that are not to be lost, whether or not the head reaches them."""
        found: list[CommitId] = []
        for path in sorted((self.path / _KEPT).glob("*")):
            with suppress(DecodeError):  # it is none of ours
                found.append(CommitId.from_hex(path.name))
        return tuple(found)

    def keep(self, commit: CommitId) -> None:
        """Keep a tip, and what it reaches, wherever the head moves; on disk when this returns.

        Raises:
            RepositoryError: the disk is full or gone; nothing has changed.
        """
        path = self.path / _KEPT / str(commit)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(path.parent.parent)
        except OSError as error:
            raise RepositoryError(path, error.strerror or str(error)) from error
        self._write(path, str(commit).encode() + b"\n")

    def release(self, commit: CommitId) -> None:
        """Keep a tip no longer for its own sake.

        Raises:
            RepositoryError: the disk is gone.
        """
        path = self.path / _KEPT / str(commit)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RepositoryError(path, error.strerror or str(error)) from error

    @property
    def pack_count(self) -> int:
        """How many packs there are."""
        return len(self._objects.packs)

    @property
    def pack_bytes(self) -> int:
        """How large the packs are."""
        return sum(each.stat().st_size for each in self.path.glob("objects/pack/*.pack"))

    def keep_only(self, count: int, objects: Iterator[UnpackedObject]) -> None:
        """Put *count* objects into one pack, and remove everything else.

        Raises:
            RepositoryError: the disk is full or gone, or damaged; nothing was removed.
        """
        try:
            self._write_waiting()
            old = {pack.name(): pack for pack in self._objects.packs}
            loose = list(self._loose())
            kept = self._objects.add_pack_data(count, objects)
            if kept is not None and kept.name() in old:  # of the same objects, and left as it was
                self._check(kept)
            _sync_folder(self.path / "objects" / "pack")
            for path in loose:
                path.unlink()
            for name, pack in old.items():
                if kept is not None and name != kept.name():
                    self._objects._remove_pack(pack)  # noqa: SLF001 - the way dulwich repacks
            self.tidied_bytes = self.pack_bytes
        except OSError as error:
            raise RepositoryError(self.path, error.strerror or str(error)) from error

    def close(self) -> None:
        """Let the files go. What waits was never acknowledged."""
        self._objects.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    # --- Inside -------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("objects", "objects/pack", "objects/info", "refs", "refs/heads"):
            (self.path / folder).mkdir(mode=0o700, exist_ok=True)
        for name, text in (("HEAD", "ref: refs/heads/main\n"), ("config", _CONFIG)):
            if not (self.path / name).exists():
                self._write(self.path / name, text.encode())
        for left in (*self.path.glob("objects/pack/*.lock"), *self.path.glob("**/*.new")):
            left.unlink()  # by a process that was killed

    def _check(self, pack: Pack) -> None:
        try:
            pack.index.check()
            pack.data.check()
        except _DAMAGE as error:
            raise RepositoryError(self.path, "a pack is damaged") from error

    def _mend_packs(self) -> None:
        """Index packs anew whose index is damaged: with one of them dulwich adds no other.

        Where that cannot be done they are set aside.
        """
        for pack in sorted(self.path.glob("objects/pack/*.pack")):
            path = pack.with_suffix(".idx")
            try:
                load_pack_index(path, DEFAULT_OBJECT_FORMAT).close()
            except _DAMAGE:
                is_damaged = True
            else:
                is_damaged = False
            if is_damaged and not _is_indexed(pack, path):
                for each in (pack, path):
                    each.replace(each.with_name(each.name + ".damaged"))

    def _read_head(self) -> CommitId | None:
        try:
            text = (self.path / _MAIN).read_text("ascii").strip()
            return CommitId.from_hex(text)
        except FileNotFoundError:
            return None
        except (UnicodeDecodeError, DecodeError) as error:
            raise RepositoryError(self.path / _MAIN, "not the id of a commit") from error

    def _count_loose(self) -> int:
        return sum(1 for _ in self._loose())

    def _loose(self) -> Iterator[Path]:
        return self.path.glob("objects/[0-9a-f][0-9a-f]/*")

    def _write_waiting(self) -> None:
        fresh = {name: found for name, found in self._waiting.items() if not self._has(name, found)}
        try:
            if len(fresh) <= LOOSE_AT_ONCE:
                for name, (kind, content) in fresh.items():
                    self._write_loose(name, kind, content)
            else:
                self._write_pack(fresh)
        except OSError as error:
            raise RepositoryError(self.path, error.strerror or str(error)) from error
        self._waiting.clear()
        self._waiting_bytes = 0

    def _is_kept(self, name: bytes) -> bool:
        with suppress(*_DAMAGE):  # dulwich looks into files that are no packs
            return ObjectID(name.hex().encode()) in self._objects
        return False

    def _has(self, name: bytes, found: tuple[ObjectKind, bytes]) -> bool:
        """Whether an object is on disk and can be read: who gives it again may mend what is not."""
        try:
            return self._is_kept(name) and self._read_kept(name) == found
        except ObjectMissingError:
            return False

    def _read_kept(self, name: bytes) -> tuple[ObjectKind, bytes]:
        """Read an object from disk, from wherever it is whole.

        Raises:
            ObjectMissingError: it is not there, or damaged.
        """
        hexadecimal = ObjectID(name.hex().encode())
        with suppress(*_DAMAGE):
            number, content = self._objects.get_raw(hexadecimal)
            return _NUMBERS[number], content
        with suppress(*_DAMAGE, FileNotFoundError):  # a pack may hide it
            return self._read_loose(name)
        for pack in self._objects.packs:  # and a pack another one
            with suppress(*_DAMAGE):
                number, content = pack.get_raw(hexadecimal)
                return _NUMBERS[number], content
        raise ObjectMissingError(name)

    def _read_loose(self, name: bytes) -> tuple[ObjectKind, bytes]:
        path = self.path / "objects" / name.hex()[:2] / name.hex()[2:]
        head, _, content = zlib.decompress(path.read_bytes()).partition(b"\0")
        return ObjectKind(head.partition(b" ")[0].decode()), content

    def _write_loose(self, name: bytes, kind: ObjectKind, content: bytes) -> None:
        path = self.path / "objects" / name.hex()[:2] / name.hex()[2:]
        path.parent.mkdir(mode=0o700, exist_ok=True)
        head = f"{kind.value} {len(content)}\0".encode()
        self._write(path, zlib.compress(head + content, 1))

    def _write_pack(self, objects: dict[bytes, tuple[ObjectKind, bytes]]) -> None:
        def write() -> Pack | None:
            fresh = (unpacked(name, *found) for name, found in objects.items())
            return self._objects.add_pack_data(len(objects), fresh)

        old = {pack.name() for pack in self._objects.packs}
        written = write()
        if written is not None and written.name() in old:
            # It is of the same objects, of which none can be read, and was left as it was.
            self._objects._remove_pack(written)  # noqa: SLF001 - the way dulwich repacks
            write()
        _sync_folder(self.path / "objects" / "pack")

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file so that it is there whole or not at all, and stays."""
        new = path.with_name(path.name + ".new")
        try:
            with open(new, "wb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise RepositoryError(path, error.strerror or str(error)) from error


def unpacked(name: bytes, kind: ObjectKind, content: bytes) -> UnpackedObject:
    """Return an object as packs are written from."""
    return UnpackedObject(TYPE_NUMBERS[kind], sha=name, decomp_chunks=[content])


def _is_indexed(pack: Path, path: Path) -> bool:
    """Write the index of a pack; say whether all of it could be read."""
    try:
        data = PackData(pack, object_format=DEFAULT_OBJECT_FORMAT)
    except _DAMAGE:
        return False
    try:
        data.create_index_v2(str(path))
    except _DAMAGE:
        is_whole = False
    else:
        is_whole = True
    data.close()  # not as the error passes: that holds on to what was read
    return is_whole


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
