"""The bisection of a path, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shoal.core import InfoHash
from shoal.dht.pht import search as pht_search
from shoal.dht.pht.entry import IndexEntry, IndexValue, canary
from shoal.dht.pht.prefix import Prefix
from shoal.dht.pht.search import Harvest, PhtStats, Search

if TYPE_CHECKING:
    import pytest

PATH = Prefix.whole(bytes(2))
MARK = [canary("test", 1)]


def begin(**options: int | bool | None) -> Search:
    """Begin a search on sixteen zeros."""
    return Search(PATH, "test", 2, PhtStats(), **options)  # type: ignore[arg-type]


def answer(search: Search, marks: set[int], *, ok: bool = True) -> list[int]:
    """Answer what a search asks for, as if these depths were marked; return the depths asked."""
    asked: list[int] = []
    while wanted := search.wanted():
        asked += wanted
        for depth in wanted:
            if depth in marks:
                search.found(depth, MARK)
            search.done(depth, ok=ok)
            if search.is_over:
                break
    return asked


def test_the_middle_and_the_node_below_are_read_at_once() -> None:
    """Then the middle of what is left."""
    search = begin()
    assert search.wanted() == [8, 9]
    search.done(8, ok=True)
    assert search.wanted() == [3, 4]
    search.found(3, MARK)
    search.done(3, ok=True)
    assert search.wanted() == []
    search.found(4, MARK)
    search.done(4, ok=True)
    assert search.wanted() == [5, 6]
    search.found(5, MARK)
    search.done(6, ok=True)
    assert not search.is_over
    search.done(5, ok=True)
    assert (search.is_over, search.leaf) == (True, 5)


@given(st.integers(-1, 15), st.one_of(st.none(), st.integers(0, 20)))
def test_the_deepest_marked_node_of_a_path_without_gaps_is_the_leaf(
    depth: int, start: int | None
) -> None:
    """Wherever the search begins; without a canary anywhere, it is the root."""
    search = begin(start=start)
    asked = answer(search, set(range(depth + 1)))
    assert search.leaf == max(depth, 0)
    assert len(asked) == len(set(asked)) <= 12


@given(st.sets(st.integers(0, 16)), st.one_of(st.none(), st.integers(0, 16)))
def test_any_path_ends_at_a_leaf(marks: set[int], start: int | None) -> None:
    """Whatever peers marked: a marked node above an unmarked one, or the root."""
    search = begin(start=start)
    answer(search, marks)
    assert search.is_over
    assert search.leaf == 0 or search.leaf in marks


def test_a_thorough_search_reads_what_is_above() -> None:
    """Each node once."""
    search = begin(is_thorough=True)
    asked = answer(search, set(range(11)))
    assert search.leaf == 10
    assert sorted(asked) == sorted({*range(12), 12, 13} & set(asked) | set(range(11)))
    assert len(asked) == len(set(asked))


def test_of_a_deep_path_a_thorough_search_reads_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to the root and next to the leaf."""
    monkeypatch.setattr(pht_search, "SWEPT_MAX", 4)
    search = begin(start=12, is_thorough=True)
    asked = answer(search, set(range(13)))
    assert search.leaf == 12
    assert sorted(asked) == [0, 1, 10, 11, 12, 13]


def test_a_dht_that_does_not_answer_ends_the_search() -> None:
    """At the node above, and at the one below it."""
    search = begin()
    answer(search, set(), ok=False)
    assert (search.is_over, search.has_failed, search.leaf) == (True, True, None)

    search = begin()
    search.found(8, MARK)
    search.done(8, ok=True)
    search.done(9, ok=False)
    assert search.has_failed


def test_an_index_of_empty_keys_has_a_root_only() -> None:
    """There are no bits to go down by."""
    search = Search(Prefix(b"\x80", 0), "test", 1, PhtStats())
    assert answer(search, {0, 1}) == [0]
    assert search.leaf == 0


def test_entries_of_a_node_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so are results; what is ignored is counted."""
    monkeypatch.setattr(pht_search, "ENTRIES_PER_NODE_MAX", 3)
    monkeypatch.setattr(pht_search, "RESULTS_MAX", 2)
    stats = PhtStats()
    harvest = Harvest(PATH, is_exact=True)
    search = Search(PATH, "test", 2, stats, harvest=harvest)
    values = [
        IndexEntry(PATH.content, IndexValue(InfoHash.of(b"x"), n)).pack("test", n + 1)
        for n in (0, 0, 1, 2, 3)
    ]
    search.found(8, values)

    assert search.nodes[8].count == 3
    assert [entry.value.value_id for entry in harvest.entries()] == [0, 1]
    assert stats.overflowed == 2


def test_the_most_alike_are_harvested() -> None:
    """A better one replaces all, an equal one joins, a worse one is left."""
    harvest = Harvest(Prefix.whole(b"\xff\xff"), is_exact=False)
    for n, prefix in enumerate((b"\xf0\x00", b"\xff\x00", b"\xff\x01", b"\xfe\x00")):
        assert harvest.add(IndexEntry(prefix, IndexValue(InfoHash.of(b"x"), n)))
    assert [entry.value.value_id for entry in harvest.entries()] == [1, 2]
