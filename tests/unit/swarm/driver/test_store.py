"""Conversations on disk: read again, by us and by git, whatever happened in between."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from shoal.core import CommitId
from shoal.swarm import Conversation, ObjectKind
from shoal.swarm.contents import Text
from shoal.swarm.driver import DiskStore
from shoal.swarm.driver import store as module
from shoal.swarm.errors import ObjectMissingError, RepositoryError
from shoal.swarm.membership import invite
from tests.unit.swarm.people import ALICE, BOB, WALL_NOW, begin, copy_objects, said, who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Opener: TypeAlias = "Callable[[], DiskStore]"


def git(path: Path, *arguments: str) -> str:
    """Run stock git in a repository."""
    return subprocess.run(  # noqa: S603
        ["git", "-C", str(path), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[], DiskStore]]:
    """Opens the one repository of a test, as often as it likes."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(DiskStore(tmp_path / "r"))


def test_git_accepts_it(tmp_path: Path, open_store: Opener) -> None:
    """`git fsck` finds no fault, `git log` the messages."""
    store = open_store()
    conversation = Conversation.create(store, who(ALICE), wall_now=WALL_NOW)
    invite(conversation, who(BOB).account, WALL_NOW)
    conversation.say(Text("héllo"), WALL_NOW)

    assert git(store.path, "fsck", "--strict", "--full") == ""
    log = git(store.path, "log", "--format=%H %an <%ae>").splitlines()
    assert [line.split()[0] for line in log] == [str(found) for found in said(conversation)][::-1]
    assert log[0].endswith(f"alice <{who(ALICE).device_id}>")


def test_read_again(tmp_path: Path, open_store: Opener) -> None:
    """The next process finds head, objects and nothing else; files are ours alone."""
    conversation = Conversation.create(open_store(), who(ALICE), wall_now=WALL_NOW)
    conversation.say(Text("hello"), WALL_NOW)
    store = open_store()
    again = Conversation.load(store, who(ALICE))

    assert said(again) == said(conversation)
    for path in (tmp_path / "r").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_many_objects_become_a_pack(
    tmp_path: Path, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone is one pack; memory holds only so much on the way."""
    source = begin()
    for number in range(100):
        source.say(Text(str(number)), WALL_NOW)
    monkeypatch.setattr(module, "WAITING_MAX", 70)
    store = open_store()
    copy_objects(source, store)  # type: ignore[arg-type]
    conversation, _ = Conversation.clone(store, who(BOB), source.id, source.head)

    assert len(list((tmp_path / "r").glob("objects/pack/*.pack"))) == 1
    assert said(conversation) == said(source)
    assert git(store.path, "fsck", "--strict") == ""
    assert said(Conversation.load(open_store(), who(BOB))) == said(source)


def test_many_files_are_packed(
    tmp_path: Path, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a repository of many loose files packs them."""
    monkeypatch.setattr(module, "LOOSE_FILES_MAX", 5)
    conversation = Conversation.create(open_store(), who(ALICE), wall_now=WALL_NOW)
    for number in range(5):
        conversation.say(Text(str(number)), WALL_NOW)
    again = Conversation.load(open_store(), who(ALICE))

    assert not list((tmp_path / "r").glob("objects/[0-9a-f][0-9a-f]/*"))
    assert said(again) == said(conversation)


def test_what_is_not_there(tmp_path: Path, open_store: Opener) -> None:
    """Missing and damaged objects are missing; a damaged head says so."""
    store = open_store()
    added = store.add(ObjectKind.BLOB, b"hello")
    store.set_head(CommitId(added))
    assert store.contains(added)
    assert not store.contains(bytes(20))
    with pytest.raises(ObjectMissingError):
        store.read(bytes(20))
    path = tmp_path / "r" / "objects" / added.hex()[:2] / added.hex()[2:]
    path.write_bytes(b"damaged")
    with pytest.raises(ObjectMissingError):
        open_store().read(added)
    (tmp_path / "r" / "refs" / "heads" / "main").write_text("what")
    with pytest.raises(RepositoryError, match="id of a commit"):
        open_store()


def test_tips_that_are_kept(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are references of git's, in the next process too, until they are let go."""
    store = open_store()
    conversation = Conversation.create(store, who(ALICE), wall_now=WALL_NOW)
    first = conversation.head
    conversation.say(Text("only here"), WALL_NOW)
    tip = conversation.head
    for _ in range(2):
        store.keep(tip)
    store.set_head(first)
    (store.path / "refs" / "kept" / "strange").touch()
    assert open_store().kept == (tip,)
    (store.path / "refs" / "kept" / "strange").unlink()
    assert str(tip) in git(store.path, "rev-list", "--all").split()
    assert git(store.path, "fsck", "--strict", "--full", "--unreachable") == ""

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(RepositoryError, match="No space left"):
            store.keep(first)
    assert store.kept == (tip,)
    for _ in range(2):
        store.release(tip)
    assert open_store().kept == ()


@pytest.mark.parametrize("kind", ["loose", "empty", "packed"])
def test_what_is_damaged_is_mended_by_who_gives_it_again(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A file that is there and cannot be read does not stand in the way of the same object."""
    store = open_store()
    content = os.urandom(1_000)
    added = store.add(ObjectKind.BLOB, content)
    if kind == "packed":
        monkeypatch.setattr(module, "LOOSE_AT_ONCE", 0)
    store.set_head(CommitId(added))
    (path,) = [*store.path.glob("objects/??/*"), *store.path.glob("objects/pack/*.pack")]
    path.chmod(0o600)
    data = path.read_bytes()
    cut = data[:40] + bytes(len(data) - 80) + data[-40:]
    path.write_bytes(b"" if kind == "empty" else cut)
    store = open_store()
    with pytest.raises(ObjectMissingError):
        store.read(added)
    store.add(ObjectKind.BLOB, b"another")
    monkeypatch.undo()
    store.add(ObjectKind.BLOB, content)
    store.set_head(CommitId(added))

    for again in (store, open_store()):
        assert again.read(added) == (ObjectKind.BLOB, content)


def packed(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    """Put some objects into one pack; return their contents."""
    contents = [os.urandom(1_000) for _ in range(3)]
    found = {store.add(ObjectKind.BLOB, content): content for content in contents}
    with monkeypatch.context() as patch:
        patch.setattr(module, "LOOSE_AT_ONCE", 0)
        store.set_head(CommitId(next(iter(found))))
    return found


def cut(store: DiskStore, *ends: str) -> None:
    """Lose the second half of the files of a pack."""
    for end in ends:
        (path,) = store.path.glob(f"objects/pack/*.{end}")
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if end == "idx" else b"")


@pytest.mark.parametrize("ends", [["pack"], ["pack", "idx"]])
def test_a_damaged_pack_is_mended_by_who_gives_all_of_it_again(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, ends: list[str]
) -> None:
    """The new pack has the name of the damaged one, and takes its place."""
    store = open_store()
    contents = packed(store, monkeypatch)
    cut(store, *ends)
    store = open_store()
    for name, content in contents.items():
        with pytest.raises(ObjectMissingError):
            store.read(name)
        store.add(ObjectKind.BLOB, content)
    monkeypatch.setattr(module, "LOOSE_AT_ONCE", 0)
    store.set_head(CommitId(next(iter(contents))))

    for again in (store, open_store()):
        for name, content in contents.items():
            assert again.read(name) == (ObjectKind.BLOB, content)


def test_a_damaged_index_is_written_anew(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the pack is there, and more can be packed."""
    store = open_store()
    contents = packed(store, monkeypatch)
    cut(store, "idx")
    store = open_store()
    for name, content in contents.items():
        assert store.read(name) == (ObjectKind.BLOB, content)
    more = packed(store, monkeypatch)
    for name, content in more.items():
        assert open_store().read(name) == (ObjectKind.BLOB, content)


def test_what_was_mended_is_not_tidied_into_the_damaged_pack(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be of the same objects: what is whole beside it stays."""
    store = open_store()
    contents = packed(store, monkeypatch)
    cut(store, "pack")
    store = open_store()
    for content in contents.values():
        store.add(ObjectKind.BLOB, content)
    store.set_head(CommitId(next(iter(contents))))
    whole = [module.unpacked(name, *store.read(name)) for name in contents]
    with pytest.raises(RepositoryError, match="damaged"):
        store.keep_only(len(whole), iter(whole))

    for name, content in contents.items():
        assert open_store().read(name) == (ObjectKind.BLOB, content)


def test_a_full_disk(tmp_path: Path, open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head stays where it was, the error names the place, and nothing half-written is left."""
    store = open_store()
    conversation = Conversation.create(store, who(ALICE), wall_now=WALL_NOW)
    before = store.head

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(RepositoryError, match="No space left"):
            conversation.say(Text("lost"), WALL_NOW)
    assert open_store().head == before
    assert not list(tmp_path.rglob("*.new"))
    with pytest.raises(RepositoryError):
        DiskStore(Path("/dev/null/r"))


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
steps = int(sys.argv[1])
real = os.fsync
def fsync(handle):
    global steps
    steps -= 1
    if steps < 0:
        os.kill(os.getpid(), 9)
    real(handle)
os.fsync = fsync
from shoal.swarm import ObjectKind
from shoal.swarm.driver import DiskStore
from shoal.core import CommitId
store = DiskStore(Path(sys.argv[2]))
for number in range(100):
    ids = [store.add(ObjectKind.BLOB, b"%d %d" % (number, n)) for n in range(3)]
    store.set_head(CommitId(ids[-1]))
    print(ids[-1].hex(), flush=True)
"""


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 40])
def test_killed_at_any_write(tmp_path: Path, open_store: Opener, steps: int) -> None:
    """What was acknowledged is there after a kill -9 between any two writes."""
    script = KILLED.format(root=str(Path(module.__file__).parents[3]))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, str(steps), str(tmp_path / "r")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stderr
    acknowledged = done.stdout.split()
    store = open_store()

    if acknowledged:
        assert store.head is not None
        assert store.contains(bytes.fromhex(acknowledged[-1]))
    if store.head is not None:
        assert store.read(store.head)
        assert not acknowledged or (store.head.hex() >= "" and store.contains(store.head))
    store.set_head(CommitId(store.add(ObjectKind.BLOB, b"goes on")))
    assert open_store().head == store.head
