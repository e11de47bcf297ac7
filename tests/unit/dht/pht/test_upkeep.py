"""Entries inserted here: kept, watched, bounded."""

from __future__ import annotations

import itertools

import pytest

from shoal.core import InfoHash
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.pht import upkeep
from shoal.dht.pht.effects import CancelRequest, WatchNode
from shoal.dht.pht.entry import IndexValue
from shoal.dht.pht.prefix import Prefix
from shoal.dht.pht.search import PhtStats
from shoal.dht.pht.upkeep import ENTRY_LIFE, KEEP_INTERVAL, RETRY_INTERVAL, Record, Upkeep
from shoal.sim.entropy import SeededEntropy

PATH = Prefix.whole(b"\xa5\x5a")


def value(n: int) -> IndexValue:
    """Return what an entry points at."""
    return IndexValue(InfoHash.of(b"value"), n)


class Bench:
    """Upkeep and its counters."""

    def __init__(self) -> None:
        self.stats = PhtStats()
        self.upkeep = Upkeep(self.stats, itertools.count(1), SeededEntropy(1))

    def add(self, n: int, *, is_kept: bool = False, now: float = 0.0) -> Record:
        """Add an entry."""
        return self.upkeep.add(PATH, value(n), now, is_kept=is_kept)

    def line(self) -> list[tuple[Record, bool]]:
        """Take everything that may be under way out of the line."""
        return list(iter(self.upkeep.next_in_line, None))


def test_an_entry_that_is_not_kept_is_forgotten_when_it_dies() -> None:
    """Its watch ends with it."""
    bench = Bench()
    record = bench.add(1)
    (watch,) = bench.upkeep.watch(record, 3)
    assert watch == WatchNode(1, PATH.cut(4).key)
    assert bench.upkeep.next_deadline() == ENTRY_LIFE
    assert bench.upkeep.advance(ENTRY_LIFE - 1) == []
    assert bench.upkeep.advance(ENTRY_LIFE) == [CancelRequest(1)]
    assert record not in bench.upkeep
    assert bench.upkeep.next_deadline() is None


def test_a_kept_entry_is_lined_up_in_time() -> None:
    """Between seven and nine minutes after its last insertion, again and again."""
    bench = Bench()
    record = bench.add(1, is_kept=True)
    for n in range(1, 5):
        due = bench.upkeep.next_deadline()
        assert due is not None
        assert KEEP_INTERVAL[0] <= due - record.made <= KEEP_INTERVAL[1]
        bench.upkeep.advance(due)
        assert bench.line() == [(record, False)]
        assert record.made == due
        bench.upkeep.finished(record)
        assert bench.stats.renewed == n


def test_a_failed_renewal_is_repeated_soon() -> None:
    """Of a kept entry; others and removed ones are left."""
    bench = Bench()
    kept, other = bench.add(1, is_kept=True), bench.add(2)
    bench.upkeep.failed(kept, 5.0)
    bench.upkeep.failed(other, 5.0)
    assert bench.upkeep.next_deadline() == 5.0 + RETRY_INTERVAL
    assert other.due == ENTRY_LIFE
    bench.upkeep.remove(kept.id)
    bench.upkeep.failed(kept, 6.0)
    assert kept.due == 5.0 + RETRY_INTERVAL


def test_entries_of_one_leaf_share_a_watch() -> None:
    """It ends with the last of them."""
    bench = Bench()
    first, second = bench.add(1), bench.add(2)
    assert len(bench.upkeep.watch(first, 3)) == 1
    assert bench.upkeep.watch(second, 3) == []
    assert bench.upkeep.unwatch(first) == []
    assert bench.upkeep.unwatch(first) == []
    assert bench.upkeep.unwatch(second) == [CancelRequest(1)]
    assert not bench.upkeep.is_watch(1)


def test_a_watch_moves_with_its_entry() -> None:
    """And there is none below the last bit, nor for what is no longer alive."""
    bench = Bench()
    record = bench.add(1)
    bench.upkeep.watch(record, 3)
    assert bench.upkeep.watch(record, 4) == [CancelRequest(1), WatchNode(2, PATH.cut(5).key)]
    assert bench.upkeep.watch(record, PATH.bits) == [CancelRequest(2)]
    bench.upkeep.remove(record.id)
    assert bench.upkeep.watch(record, 3) == []


def test_a_split_lines_up_what_is_still_alive() -> None:
    """Once, however often it is seen."""
    bench = Bench()
    old, young = bench.add(1), bench.add(2, now=100.0)
    bench.upkeep.watch(old, 3)
    bench.upkeep.watch(young, 3)
    assert bench.upkeep.split_seen(1, ENTRY_LIFE + 50) == [CancelRequest(1)]
    assert bench.line() == [(young, True)]
    assert bench.stats.moved == 1
    bench.upkeep.watch(young, 4)
    bench.upkeep.split_seen(2, ENTRY_LIFE + 51)
    assert bench.line() == []  # it is under way


def test_a_renewal_that_is_due_during_a_move_follows_it() -> None:
    """The move is put with the age that the entry had; alone, it would let it die."""
    bench = Bench()
    record = bench.add(1, is_kept=True)
    bench.upkeep.watch(record, 3)
    due = bench.upkeep.next_deadline()
    assert due is not None
    bench.upkeep.split_seen(1, due - 0.1)
    assert bench.line() == [(record, True)]
    bench.upkeep.advance(due)
    assert bench.line() == []  # it is under way
    bench.upkeep.finished(record)
    assert bench.line() == [(record, False)]
    bench.upkeep.finished(record)
    assert bench.line() == []


def test_few_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait; those removed meanwhile don't take a turn."""
    monkeypatch.setattr(upkeep, "RUNNING_MAX", 2)
    bench = Bench()
    records = [bench.add(n, is_kept=True) for n in range(5)]
    bench.upkeep.advance(KEEP_INTERVAL[1])
    running = [record for record, _ in bench.line()]
    assert len(running) == 2
    waiting = [record for record in records if record not in running]
    for record in waiting[:2]:
        bench.upkeep.remove(record.id)
    bench.upkeep.finished(running[0])
    turns = bench.line()
    assert len(turns) == 1
    assert turns[0][0] in bench.upkeep


def test_the_number_of_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is known already needs no room."""
    monkeypatch.setattr(upkeep, "ENTRIES_MAX", 1)
    bench = Bench()
    record = bench.add(1)
    assert bench.add(1, is_kept=True, now=3.0) is record
    assert (record.made, record.is_kept) == (3.0, True)
    with pytest.raises(TooManyOperationsError):
        bench.add(2)
    assert bench.upkeep.remove((b"other", value(1))) == []


def test_inserting_again_and_again_needs_no_more_memory() -> None:
    """Wake-ups that are out of date are dropped when they become many."""
    bench = Bench()
    for n in range(1000):
        bench.add(1, now=float(n))
    assert len(bench.upkeep._due) < 50  # noqa: SLF001 - nothing else shows it
    assert bench.upkeep.advance(998.0) == []
    assert "record" not in bench.upkeep
    bench.upkeep.advance(999.0 + ENTRY_LIFE)
    assert bench.upkeep.next_deadline() is None
