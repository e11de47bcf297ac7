"""The graph: what came before what, and the one line."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import CommitId, DecodeError
from shoal.swarm.commits import Commit
from shoal.swarm.errors import HistoryTooLargeError, ObjectMissingError
from shoal.swarm.history import Graph, collect
from shoal.swarm.store import MemoryStore, ObjectKind
from tests.unit.swarm.people import ALICE, device, who

KEY = device(ALICE).private_key


def commit(*parents: CommitId, wall_time: int = 0, message: bytes = b"{}") -> Commit:
    """A commit on top of *parents*."""
    return Commit.build(
        tree=bytes(20),
        parents=parents,
        name="",
        device=who(ALICE).device_id,
        wall_time=wall_time,
        message=message,
        key=KEY,
    )


SHAPES = st.lists(
    st.tuples(st.integers(0, 30), st.none() | st.integers(0, 30), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def grow(shape: list[tuple[int, int | None, int]]) -> tuple[Graph, list[Commit]]:
    """A history of that shape: each commit on one or two earlier ones, dates in any order."""
    graph, commits = Graph(), [commit(message=b"first")]
    graph.add(commits[0])
    for number, (one, other, wall_time) in enumerate(shape):
        parents = [commits[one % len(commits)].id]
        if other is not None and commits[other % len(commits)].id not in parents:
            parents.append(commits[other % len(commits)].id)
        commits.append(commit(*parents, wall_time=wall_time, message=b"%d" % number))
        graph.add(commits[-1])
    return graph, commits


@given(SHAPES)
def test_differences(shape: list[tuple[int, int | None, int]]) -> None:
    """What one has and the other has not, and who came before whom, whatever the dates say."""
    graph, commits = grow(shape)
    for one, other in itertools.product(commits[-3:], commits[:3] + commits[-3:]):
        ours, theirs = graph.ancestors(one.id), graph.ancestors(other.id)
        assert graph.since(one.id, (other.id,)) == ours - theirs
        assert graph.is_ancestor(one.id, other.id) is (one.id in theirs)


@given(SHAPES)
def test_merge_bases(shape: list[tuple[int, int | None, int]]) -> None:
    """Common ancestors, none of which is an ancestor of another."""
    graph, commits = grow(shape)
    one, other = commits[-1].id, commits[len(commits) // 2].id
    bases = graph.merge_bases(one, other)
    common = graph.ancestors(one) & graph.ancestors(other)

    assert common == graph.ancestors(*bases)
    for base in bases:
        assert not any(base in graph.ancestors(rival) for rival in bases if rival != base)


@given(SHAPES)
def test_the_line(shape: list[tuple[int, int | None, int]]) -> None:
    """Each once, children before parents; among those that may come next the newest."""
    graph, commits = grow(shape)
    tip = commits[-1].id
    line = list(graph.linear(tip))
    place = {commit_id: number for number, commit_id in enumerate(line)}

    assert sorted(line) == sorted(graph.ancestors(tip))
    for found in line:
        assert all(place[found] < place[parent] for parent in graph[found].parents)


def test_equal_seconds() -> None:
    """Siblings of one second come in the order of their ids, everywhere."""
    root = commit(message=b"root")
    siblings = [commit(root.id, message=b"%d" % n) for n in range(5)]
    top, lines = siblings[0], []
    for order in (siblings, siblings[::-1]):
        graph = Graph()
        for each in (root, *order):
            graph.add(each)
        top = siblings[0]
        for number, each in enumerate(siblings[1:]):
            top = commit(top.id, each.id, message=b"m%d" % number)
            graph.add(top)
        lines.append([found for found in graph.linear(top.id) if len(graph[found].parents) < 2])
    assert [set(line) for line in lines] == [{root.id, *(each.id for each in siblings)}] * 2


def test_unknown_commits() -> None:
    """Asking for what is not there is an error that names it."""
    with pytest.raises(ObjectMissingError):
        Graph()[CommitId(bytes(20))]
    assert len(Graph()) == 0


@given(SHAPES)
def test_collecting(shape: list[tuple[int, int | None, int]]) -> None:
    """What is new comes parents first."""
    full, commits = grow(shape)
    store = MemoryStore()
    for each in commits:
        store.add(ObjectKind.COMMIT, each.raw)
    known = Graph()
    known.add(commits[0])
    tip = commits[-1].id
    order = [each.id for each in collect(store, tip, known, 100)]

    assert set(order) == full.ancestors(tip) - {commits[0].id}
    for number, found in enumerate(order):
        assert all(p in known or p in order[:number] for p in full[found].parents)


def test_what_is_not_collected() -> None:
    """Too many, missing ones, and what is no commit."""
    store, first = MemoryStore(), commit()
    second = commit(first.id)
    store.add(ObjectKind.COMMIT, second.raw)
    with pytest.raises(ObjectMissingError):
        collect(store, second.id, Graph(), 100)
    store.add(ObjectKind.COMMIT, first.raw)
    with pytest.raises(HistoryTooLargeError):
        collect(store, second.id, Graph(), 1)
    with pytest.raises(DecodeError):
        collect(store, CommitId(store.add(ObjectKind.BLOB, b"")), Graph(), 1)
