"""The line, kept as heads move: always what a walk of the whole graph gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.swarm.history import Graph
from shoal.swarm.order import Change, first_line, moved
from tests.unit.swarm.test_history import SHAPES, commit, grow

if TYPE_CHECKING:
    from shoal.core import CommitId


class Line:
    """A line as an index keeps it."""

    def __init__(self, graph: Graph, head: CommitId) -> None:
        self.graph = graph
        self.head = head
        self.line: list[CommitId] = []
        self.children: dict[CommitId, int] = {}
        self._apply(first_line(graph, head))

    def move(self, head: CommitId) -> Change:
        """Follow the head."""
        change = moved(
            self.graph, self.head, head, iter(self.line), lambda each: self.children.get(each, 0)
        )
        self.head = head
        self._apply(change)
        return change

    def _apply(self, change: Change) -> None:
        rest = [] if change.below is None else self.line[self.line.index(change.below) :]
        self.line = [*change.line, *(each for each in rest if each not in change.lost)]
        self.children.update(change.children)
        for each in change.lost:
            self.children.pop(each, None)


@settings(max_examples=300)
@given(SHAPES, st.lists(st.integers(0, 12), max_size=6))
def test_heads_move_anywhere(shape: list[tuple[int, int | None, int]], path: list[int]) -> None:
    """From any head to any other, with merges and dates in any order."""
    graph, commits = grow(shape)
    line = Line(graph, commits[0].id)
    for step in path:
        head = commits[step % len(commits)].id
        line.move(head)
        assert line.line == list(graph.linear(head))
        for each in line.line:
            inside = [other for other in line.line if each in graph[other].parents]
            assert line.children.get(each, 0) == len(inside)


def test_a_message_changes_one_place() -> None:
    """However long the history is, and a merge only what it mixes."""
    graph, last = Graph(), commit(message=b"first")
    graph.add(last)
    for number in range(200):
        last = commit(last.id, wall_time=number, message=b"%d" % number)
        graph.add(last)
    line = Line(graph, last.id)
    ours = commit(last.id, wall_time=300, message=b"ours")
    theirs = commit(graph[last.id].parents[0], wall_time=301, message=b"theirs")
    merge = commit(ours.id, theirs.id, wall_time=302, message=b"merge")
    for each in (ours, theirs, merge):
        graph.add(each)

    assert line.move(ours.id).line == (ours.id,)
    change = line.move(merge.id)
    assert change.line == (merge.id, theirs.id, ours.id, last.id)[: len(change.line)]
    assert line.line == list(graph.linear(merge.id))
