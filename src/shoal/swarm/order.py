"""The one line, kept: what of it changes as the head moves.

Theory of operation. The line is `Graph.linear`. What comes next in it depends on two things only:
which commits have not come yet, and how many children of each have not. So the new line is walked
from the new head until all that is new has come, and of the old line exactly its beginning: from
there on both lines are the same. A message on top changes one place; a merge those that it mixes.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from shoal.core.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shoal.core import CommitId
    from shoal.swarm.history import Graph


@dataclass(frozen=True, slots=True)
class Change:
    """How the line changes.

    Attributes:
        lost: what is no longer in it.
        line: the new beginning, newest first; what was above `below` before is in it, or lost.
        below: the newest commit that stays where it is; None if there is none.
        children: how many children in the line those have now for whom that changed.
    """

    lost: frozenset[CommitId]
    line: tuple[CommitId, ...]
    below: CommitId | None
    children: dict[CommitId, int]


def first_line(graph: Graph, head: CommitId) -> Change:
    """Return the whole line, where there was none."""
    line = tuple(graph.linear(head))
    return Change(frozenset(), line, None, _counts(graph, line, {}))


def moved(
    graph: Graph,
    old: CommitId,
    new: CommitId,
    line: Iterable[CommitId],
    children_of: Callable[[CommitId], int],
) -> Change:
    """Return what changes as the head moves from *old* to *new*.

    *line* is the old line, newest first; *children_of* says how many children in it a commit has.
    """
    gained, lost = graph.since(new, (old,)), graph.since(old, (new,))
    children = _Children(children_of)
    for commit in gained:
        for parent in graph[commit].parents:
            children.add(parent, 1)
    for commit in lost:
        for parent in graph[commit].parents:
            children.add(parent, -1)
    found, below = _walk(graph, new, (each for each in line if each not in lost), gained, children)
    changed = {commit: count for commit, count in children.counts.items() if commit not in lost}
    return Change(frozenset(lost), tuple(found), below, changed)


class _Children:
    """How many children commits have in the line, where that changes."""

    def __init__(self, children_of: Callable[[CommitId], int]) -> None:
        self.counts: dict[CommitId, int] = {}
        self._children_of = children_of

    def __getitem__(self, commit: CommitId) -> int:
        found = self.counts.get(commit)
        return self._children_of(commit) if found is None else found

    def add(self, commit: CommitId, change: int) -> None:
        """One child more, or one less."""
        self.counts[commit] = self[commit] + change


def _walk(
    graph: Graph,
    head: CommitId,
    old: Iterator[CommitId],
    gained: set[CommitId],
    children: _Children,
) -> tuple[list[CommitId], CommitId | None]:
    """Return the new line as far as it differs from the *old* one, and what follows."""
    line: list[CommitId] = []
    waiting: dict[CommitId, int] = {}
    unmatched: set[CommitId] = set()  # old commits that have come in one of the lines only
    left = len(gained)
    heap = [(-graph[head].wall_time, head)]
    while heap and (left or unmatched):
        _, commit = heapq.heappop(heap)
        line.append(commit)
        if commit in gained:
            left -= 1
        else:
            unmatched ^= {commit}
            unmatched ^= {next(old)}
        for parent in graph[commit].parents:
            count = waiting[parent] = waiting.get(parent, children[parent]) - 1
            if not count:
                heapq.heappush(heap, (-graph[parent].wall_time, parent))
    return line, next(old, None)


def _counts(
    graph: Graph, line: Iterable[CommitId], counts: dict[CommitId, int]
) -> dict[CommitId, int]:
    for commit in line:
        for parent in graph[commit].parents:
            counts[parent] = counts.get(parent, 0) + 1
    return counts
