"""Trees: flat for us, nested for git, and closed to tricks."""

from __future__ import annotations

from contextlib import suppress

import pytest
from dulwich.objects import Tree as GitTree
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import DecodeError
from shoal.swarm import trees
from shoal.swarm.store import MemoryStore, ObjectKind
from shoal.swarm.trees import TreeReader, changes, parse_tree, write_tree

NAMES = st.sampled_from(["a", "b", "ab", "a-b", "a.crt", "members", "invited", "z"])
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(min_size=20, max_size=20), max_size=12)


def without_clashes(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out files at whose path there is a folder."""
    return {p: b for p, b in files.items() if not any(q.startswith(p + "/") for q in files)}


@given(FILES)
def test_round_trip(files: dict[str, bytes]) -> None:
    """What is written is read back, and git sorts it the same way."""
    files = without_clashes(files)
    store = MemoryStore()
    top = write_tree(store, files)

    assert TreeReader(store).read(top) == files
    for object_id, (_, content) in store.objects.items():
        theirs = GitTree.from_string(content)
        theirs._needs_serialization = True  # noqa: SLF001 - make it sort anew
        assert theirs.as_raw_string() == content
        assert theirs.id.decode() == object_id.hex()


def test_trees_are_read_once() -> None:
    """Commits mostly share a tree; the mapping is the same object, and cannot be written to."""
    store = MemoryStore()
    reader = TreeReader(store)
    top = write_tree(store, {"a": bytes(20)})

    assert reader.read(top) is reader.read(top)
    for number in range(trees.CACHED_TREES_MAX + 1):
        reader.read(write_tree(store, {"a": number.to_bytes(20)}))
    assert reader.read(top) == {"a": bytes(20)}


def entry(mode: bytes = b"100644", name: bytes = b"a") -> bytes:
    """One entry of a tree object."""
    return mode + b" " + name + b"\0" + bytes(20)


@pytest.mark.parametrize(
    "content",
    [
        entry(b"120000"),  # a symbolic link
        entry(b"100755"),
        entry(b"160000"),  # a submodule
        entry(name=b".."),
        entry(name=b"."),
        entry(name=b""),
        entry(name=b".GIT"),
        entry(name=b"a/b"),
        entry(name=b"a\\b"),
        entry(name=b"\xff"),
        entry(name=b"a" * 300),
        entry() + entry(),
        entry()[:-1],
        b"100644",
    ],
)
def test_tricks(content: bytes) -> None:
    """Links, programs, names that lead elsewhere or come twice: none is a tree of ours."""
    store = MemoryStore()
    top = store.add(ObjectKind.TREE, content)

    with pytest.raises(DecodeError):
        TreeReader(store).read(top)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too deep, too many files, too long an object, a blob for a tree."""
    store = MemoryStore()
    deep = write_tree(store, {"/".join("x" * (trees.DEPTH_MAX + 2)): bytes(20)})
    with pytest.raises(DecodeError, match="levels"):
        TreeReader(store).read(deep)
    monkeypatch.setattr(trees, "FILES_MAX", 2)
    wide = write_tree(store, dict.fromkeys("abc", bytes(20)))
    with pytest.raises(DecodeError, match="files"):
        TreeReader(store).read(wide)
    monkeypatch.setattr(trees, "TREE_SIZE_MAX", 10)
    with pytest.raises(DecodeError, match="bytes"):
        TreeReader(store).read(wide)
    with pytest.raises(DecodeError, match="blob"):
        TreeReader(store).read(store.add(ObjectKind.BLOB, b""))


@given(FILES, FILES)
def test_changes(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """What changed is what is not the same."""
    changed = changes(old, new)

    assert all(old.get(path) != new.get(path) for path in changed)
    assert all(old.get(path) == new.get(path) for path in {*old, *new} - changed)
    assert not changes(old, old)


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    """Bytes are entries or a DecodeError."""
    with suppress(DecodeError):
        list(parse_tree(content))
