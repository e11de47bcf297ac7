"""The index: what events add up to, and what remains when blocks go away."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.chain import (
    BlockHash,
    ChainAddress,
    NameReleased,
    NameReserved,
    NameTransferred,
    TransactionHash,
)
from shoal.names.driver import index as module
from shoal.names.driver.index import Checkpoint, Index, check_events
from shoal.names.errors import NameStoreError
from shoal.names.wire import decode_record
from tests.unit.names.people import account_of, forged, owner_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shoal.chain import RegistryEvent
    from shoal.names import NameRecord

TX = TransactionHash(bytes(32))
ALICE, BOB = record_of("alice"), record_of("bob")


def block(number: int, branch: str = "") -> Checkpoint:
    """Return a block of a branch."""
    return Checkpoint(number, BlockHash(hashlib.sha256(f"{branch}{number}".encode()).digest()))


def reserved(record: NameRecord, number: int) -> NameReserved:
    """Return the event of a reservation."""
    assert isinstance(record.owner, ChainAddress)
    evidence = record.public_key, record.signature
    return NameReserved(record.name, record.account, record.owner, *evidence, number, TX)


def transferred(name: str, owner: str, number: int) -> NameTransferred:
    """Return the event of a transfer."""
    return NameTransferred(name, owner_of(owner), number, TX)


def released(record: NameRecord, number: int) -> NameReleased:
    """Return the event of a release."""
    return NameReleased(record.name, record.account, owner_of("x"), number, TX)


def add(index: Index, number: int, *events: RegistryEvent, branch: str = "") -> None:
    """Add the events of a block."""
    index.add(check_events(events), block(number, branch))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """A fresh one."""
    made = Index(tmp_path / "index.sqlite")
    yield made
    made.close()


def test_a_record_is_served(index: Index) -> None:
    """The answer is ready, and is what was signed."""
    add(index, 3, reserved(ALICE, 3))

    found = index.find("alice")
    assert found is not None
    assert (found.account, found.owner, found.is_valid) == (ALICE.account, ALICE.owner, True)
    assert decode_record(found.answer) == ALICE.with_owner(None)
    assert index.name_of(ALICE.account) == "alice"
    assert index.find("bob") is None
    assert index.name_of(BOB.account) is None
    status = index.status()
    assert (status.names, status.ignored, status.block) == (1, 0, 3)


def test_what_proves_nothing_is_known_and_not_served(index: Index) -> None:
    """Its name and its account are taken on the chain all the same."""
    add(index, 1, reserved(forged(ALICE, signature=b"x"), 1))
    add(index, 2, reserved(forged(BOB, public_key=b"x"), 2))

    found = index.find("alice")
    assert found is not None
    assert (found.is_valid, found.answer) == (False, b"")
    assert index.name_of(ALICE.account) == "alice"
    assert (index.status().names, index.status().ignored) == (0, 2)


def test_transfers_and_releases(index: Index) -> None:
    """Another owner, then nobody, then another account."""
    add(index, 1, reserved(ALICE, 1), transferred("alice", "bob", 1))
    found = index.find("alice")
    assert found is not None
    assert found.owner == owner_of("bob")
    add(index, 2, released(ALICE, 2))
    assert index.find("alice") is None
    assert index.name_of(ALICE.account) is None
    add(index, 3, reserved(record_of("bob", "alice"), 3))
    found = index.find("alice")
    assert found is not None
    assert found.account == BOB.account
    assert index.status().names == 1


def test_undoing_blocks(index: Index) -> None:
    """What they said is forgotten, and what was before is true again."""
    add(index, 1, reserved(ALICE, 1))
    add(index, 2, transferred("alice", "bob", 2), reserved(BOB, 2))
    add(index, 3, released(ALICE, 3))
    index.undo(1)

    found = index.find("alice")
    assert found is not None
    assert found.owner == ALICE.owner
    assert index.find("bob") is None
    status = index.status()
    assert (status.names, status.block, status.reorganisations) == (1, 1, 1)
    assert index.checkpoints() == [block(1)]
    index.undo(-1)
    assert index.find("alice") is None
    assert index.checkpoints() == []


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """With all that it knew, and whose it is."""
    path = tmp_path / "index.sqlite"
    first = Index(path)
    assert first.bind(5, owner_of("registry"))
    add(first, 9, reserved(ALICE, 9), reserved(forged(BOB, signature=b"x"), 9))
    first.complete()
    first.undo(9)
    before = first.status()
    first.close()

    second = Index(path)
    assert second.status() == before
    assert before.is_complete
    assert (before.names, before.ignored, before.block) == (1, 1, 9)
    assert second.bind(5, owner_of("registry"))
    assert not second.bind(6, owner_of("registry"))
    assert not second.bind(5, owner_of("another"))
    second.close()


def test_checkpoints_are_bounded(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept."""
    monkeypatch.setattr(module, "CHECKPOINTS_MAX", 3)
    for number in range(6):
        add(index, number)

    assert index.checkpoints() == [block(5), block(4), block(3)]


def test_files_that_are_none(tmp_path: Path) -> None:
    """The error names the file."""
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"this is no database, and it is long enough to be told apart" * 10)
    with pytest.raises(NameStoreError, match=r"index\.sqlite"):
        Index(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NameStoreError):
        Index(tmp_path / "file" / "index.sqlite")


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not read as if it were ours."""
    Index(tmp_path / "index.sqlite").close()
    monkeypatch.setattr(module, "VERSION", 2)
    with pytest.raises(NameStoreError, match="version 1"):
        Index(tmp_path / "index.sqlite")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_undoing_is_never_having_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    """After a reorganisation the index is what reading the other branch alone makes."""
    chance = random.Random(seed)  # noqa: S311 - a seed of hypothesis's
    people = ("alice", "bob", "carol")
    names = ("one", "two")

    def event(number: int) -> RegistryEvent:
        record = record_of(chance.choice(people), chance.choice(names))
        kind = chance.randrange(4)
        if kind == 0:
            return released(record, number)
        if kind == 1:
            return transferred(record.name, chance.choice(people), number)
        return reserved(record if kind == 2 else forged(record, signature=b"?"), number)

    blocks = [[event(number) for _ in range(chance.randrange(3))] for number in range(count)]
    fork = chance.randrange(count)
    other = [[event(number)] for number in range(fork, count)]
    folder = tmp_path_factory.mktemp("index")
    forked, straight = Index(folder / "forked"), Index(folder / "straight")
    for number, events in enumerate(blocks):
        add(forked, number, *events)
    forked.undo(fork - 1)
    for number, events in enumerate(blocks[:fork] + other):
        add(straight, number, *events, branch="b" if number >= fork else "")
        if number >= fork:
            add(forked, number, *events, branch="b")

    for name in names:
        assert forked.find(name) == straight.find(name)
    for person in people:
        assert forked.name_of(account_of(person)) == straight.name_of(account_of(person))
    assert forked.checkpoints() == straight.checkpoints()
    one, two = forked.status(), straight.status()
    assert (one.names, one.ignored, one.block) == (two.names, two.ignored, two.block)
    forked.close()
    straight.close()
