"""Tidying: what the history reaches stays, the rest goes, whenever the process dies."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from shoal.swarm import Conversation, ObjectKind
from shoal.swarm.contents import Text
from shoal.swarm.driver import DiskStore, is_untidy, tidy
from shoal.swarm.driver import store as store_module
from shoal.swarm.driver import tidying as module
from shoal.swarm.errors import RepositoryError
from tests.unit.swarm.driver.test_index_ledger import Desk, agrees, give, join_in_memory
from tests.unit.swarm.driver.test_store import git
from tests.unit.swarm.people import ALICE, WALL_NOW, said, who

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty place."""
    found = Desk(tmp_path)
    yield found
    found.close()


def untidy(desk: Desk) -> Conversation:
    """A conversation with packs, single files, and what nobody reaches."""
    alice = desk.begin()
    bob = join_in_memory(alice)
    for number in range(3):
        for name in range(70):
            alice.store.add(ObjectKind.BLOB, b"refused %d %d" % (number, name))
        alice.say(Text(f"number {number}"), WALL_NOW + number)
    bob.say(Text("from bob"), WALL_NOW + 9)
    give(bob, alice)
    return alice


def disk(desk: Desk) -> DiskStore:
    """The repository of the only conversation."""
    return desk.stores[-1]


def test_tidying(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pack remains; git finds no fault, and nothing that is not reached."""
    alice = untidy(desk)
    store, before = disk(desk), said(alice)
    assert not is_untidy(store)
    monkeypatch.setattr(module, "PACKS_MAX", 2)
    assert is_untidy(store)
    count = tidy(alice, store)

    assert not is_untidy(store)
    assert (store.pack_count, list(store.path.glob("objects/??/*"))) == (1, [])
    assert len(git(store.path, "rev-list", "--objects", "--all").splitlines()) == count
    assert git(store.path, "fsck", "--strict", "--full", "--unreachable") == ""
    assert said(alice) == before
    agrees(alice)
    alice.say(Text("and on"), WALL_NOW + 20)
    assert said(Conversation.load(desk.place(alice.id), who(ALICE)))[:-1] == before
    assert tidy(alice, store) == count + 1
    assert tidy(alice, store) == count + 1  # a second time changes nothing


def test_what_is_kept_beside_the_history(desk: Desk) -> None:
    """What a tip of before reaches stays, as far as it is there."""
    alice = untidy(desk)
    store, head = disk(desk), alice.head
    for number in range(3):
        alice.say(Text(f"only here {number}"), WALL_NOW + 20 + number)
    kept = alice.head
    lost, *_ = alice.graph[alice.graph[kept].parents[0]].parents
    store.keep(kept)
    (store.path / "objects" / lost.hex()[:2] / lost.hex()[2:]).unlink()
    store.set_head(head)
    again = Conversation.load(desk.place(alice.id), who(ALICE))
    tidy(again, store)

    assert [store.contains(each) for each in (head, kept, lost)] == [True, True, False]
    assert (again.head, store.kept) == (head, (kept,))
    assert store.contains(again.commit_of(kept).parents[0])


def test_much_that_was_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much of it that it matters is reason enough."""
    alice = untidy(desk)
    monkeypatch.setattr(module, "GARBAGE_MAX", 100)
    assert is_untidy(disk(desk))
    tidy(alice, disk(desk))
    assert not is_untidy(disk(desk))


def test_a_full_disk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is removed."""
    alice = untidy(desk)
    before = said(alice)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "_sync_folder", full)
    with pytest.raises(RepositoryError, match="No space"):
        tidy(alice, disk(desk))
    assert said(Conversation.load(desk.place(alice.id), who(ALICE))) == before


@pytest.mark.parametrize("steps", range(8))
def test_killed_while_removing(desk: Desk, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Whenever it ends, all that is reached is there, and the next time removes the rest."""
    alice = untidy(desk)
    before, left = said(alice), steps
    unlink = type(disk(desk).path).unlink

    class Killed(BaseException):
        """The process is gone."""

    def counted(path: Path, *arguments: bool, **options: bool) -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        unlink(path, *arguments, **options)

    with ExitStack() as stack, monkeypatch.context() as patch:
        patch.setattr(type(disk(desk).path), "unlink", counted)
        stack.enter_context(pytest.raises(Killed))
        tidy(alice, disk(desk))
    again = Conversation.load(desk.place(alice.id), who(ALICE))
    assert said(again) == before
    tidy(again, disk(desk))
    assert git(disk(desk).path, "fsck", "--strict", "--full", "--unreachable") == ""
