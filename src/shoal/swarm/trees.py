"""Trees of conversations, flat: the path of each file and the id of its blob.

A conversation's tree is a few folders of small files, so engines see it as one mapping. What a
peer sends is read with limits, and a path that could leave the folder, or is no plain file, makes
the tree invalid. Source: git's tree object format; Jami writes mode 100644 only.
"""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core import DecodeError
from shoal.swarm.store import ObjectKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shoal.swarm.store import GitStore

FlatTree: TypeAlias = "Mapping[str, bytes]"

EMPTY: Final[FlatTree] = MappingProxyType({})
FILES_MAX: Final = 100_000  # ours: members, devices and votes of the largest group
DEPTH_MAX: Final = 8  # Jami's deepest path, votes/ban/members/T/A, has 5 parts
TREE_SIZE_MAX: Final = 8_388_608  # ours, in bytes of one tree object
NAME_SIZE_MAX: Final = 255  # bytes, that of file systems
ENTRIES_MAX: Final = 200_000  # ours: files and folders; a folder that is named twice counts twice
CACHED_TREES_MAX: Final = 256  # ours: consecutive commits mostly share one tree
CACHED_FILES_MAX: Final = 400_000  # ours: of all of them together, some 60 MB
_FILE: Final = b"100644"
_FOLDER: Final = b"40000"
_ID_LENGTH: Final = 20
_FORBIDDEN: Final = frozenset((b"", b".", b"..", b".git"))


class TreeReader:
    """Reads trees from a store, and remembers the latest ones."""

    def __init__(self, store: GitStore) -> None:
        self._store = store
        self._cache: OrderedDict[bytes, FlatTree] = OrderedDict()
        self._cached_files = 0
        self._entries = 0  # of the tree that is being read

    @property
    def cached_files(self) -> int:
        """How many files the remembered trees have together."""
        return self._cached_files

    def read(self, tree_id: bytes) -> FlatTree:
        """Return the files of a tree.

        Raises:
            DecodeError: it is too large, too deep, or holds what is no plain file.
            ObjectMissingError: a part of it is not in the store.
        """
        found = self._cache.get(tree_id)
        if found is not None:
            self._cache.move_to_end(tree_id)
            return found
        files: dict[str, bytes] = {}
        self._entries = 0
        self._collect(tree_id, "", 0, files)
        self._cache[tree_id] = flat = MappingProxyType(files)
        self._cached_files += len(flat)
        while len(self._cache) > 1 and (
            len(self._cache) > CACHED_TREES_MAX or self._cached_files > CACHED_FILES_MAX
        ):
            self._cached_files -= len(self._cache.popitem(last=False)[1])
        return flat

    def _collect(self, tree_id: bytes, prefix: str, depth: int, files: dict[str, bytes]) -> None:
        if depth > DEPTH_MAX:
            raise DecodeError(f"a tree of more than {DEPTH_MAX} levels")
        kind, content = self._store.read(tree_id)
        if kind is not ObjectKind.TREE:
            raise DecodeError(f"{tree_id.hex()} is a {kind.value}, not a tree")
        for mode, name, object_id in parse_tree(content):
            path = prefix + name
            self._entries += 1
            if self._entries > ENTRIES_MAX:  # a tree of a few bytes may have more than the world
                raise DecodeError(f"a tree of more than {ENTRIES_MAX} entries")
            if mode == _FOLDER:
                self._collect(object_id, path + "/", depth + 1, files)
            else:
                files[path] = object_id
            if len(files) > FILES_MAX:
                raise DecodeError(f"a tree of more than {FILES_MAX} files")


def parse_tree(content: bytes) -> Iterator[tuple[bytes, str, bytes]]:
    """Yield mode, name and id of each entry of a tree object.

    Raises:
        DecodeError: it is malformed, or has a name or mode that no conversation has.
    """
    if len(content) > TREE_SIZE_MAX:
        raise DecodeError(f"a tree of {len(content)} bytes; {TREE_SIZE_MAX} at most")
    position = 0
    seen: set[bytes] = set()
    while position < len(content):
        blank = content.find(b" ", position, position + 7)
        nul = content.find(b"\0", blank, blank + NAME_SIZE_MAX + 2)
        end = nul + 1 + _ID_LENGTH
        if blank < 0 or nul < 0 or end > len(content):
            raise DecodeError("a tree entry that is cut off", position)
        mode, name = content[position:blank], content[blank + 1 : nul]
        if mode not in (_FILE, _FOLDER):
            raise DecodeError(f"a tree entry of mode {mode.decode(errors='replace')}", position)
        if name.lower() in _FORBIDDEN or b"/" in name or b"\\" in name or name in seen:
            raise DecodeError(f"a tree entry named {name!r}", position)
        seen.add(name)
        try:
            yield mode, name.decode("utf-8"), content[nul + 1 : end]
        except UnicodeDecodeError as error:
            raise DecodeError(f"a tree entry named {name!r}", position) from error
        position = end


def write_tree(store: GitStore, files: FlatTree) -> bytes:
    """Put the tree objects that hold *files* into *store*; return the id of the top one."""
    folders: dict[str, dict[str, bytes]] = {}
    entries: list[tuple[bytes, bytes, bytes]] = []
    for path, blob in files.items():
        head, found, rest = path.partition("/")
        if found:
            folders.setdefault(head, {})[rest] = blob
        else:
            entries.append((head.encode(), _FILE, blob))
    for name, content in folders.items():
        entries.append((name.encode(), _FOLDER, write_tree(store, content)))
    # git sorts folders as if their names ended in a slash.
    entries.sort(key=lambda entry: entry[0] + (b"/" if entry[1] == _FOLDER else b""))
    raw = b"".join(mode + b" " + name + b"\0" + found_id for name, mode, found_id in entries)
    return store.add(ObjectKind.TREE, raw)


def changes(old: FlatTree, new: FlatTree) -> frozenset[str]:
    """Return the paths that were added, removed or changed."""
    if old is new:
        return frozenset()
    return frozenset(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
