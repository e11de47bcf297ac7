"""The graph of commits, and the one line that people read.

Order: children before parents, of those the newest first; equal seconds by id, so that equal
histories read the same everywhere. Source: git's --topo-order with dates, which Jami walks with.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

from shoal.core import DecodeError
from shoal.swarm.commits import Commit
from shoal.swarm.errors import HistoryTooLargeError, ObjectMissingError
from shoal.swarm.store import ObjectKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shoal.core import CommitId
    from shoal.swarm.store import GitStore


class Node(NamedTuple):
    """What the graph keeps of a commit."""

    parents: tuple[CommitId, ...]
    wall_time: int
    tree: bytes


class Graph:
    """Commits and what came before them."""

    def __init__(self) -> None:
        self._nodes: dict[CommitId, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, commit: CommitId) -> bool:
        return commit in self._nodes

    def __getitem__(self, commit: CommitId) -> Node:
        """Return a commit that is in the graph.

        Raises:
            ObjectMissingError: it is not.
        """
        try:
            return self._nodes[commit]
        except KeyError as error:
            raise ObjectMissingError(commit) from error

    def add(self, commit: Commit) -> None:
        """Add a commit whose parents are there."""
        self._nodes[commit.id] = Node(commit.parents, commit.wall_time, commit.tree)

    def ancestors(self, *tips: CommitId) -> set[CommitId]:
        """Return *tips* and all that came before them."""
        seen = set(tips)
        pending = list(tips)
        while pending:
            for parent in self[pending.pop()].parents:
                if parent not in seen:
                    seen.add(parent)
                    pending.append(parent)
        return seen

    def since(self, tip: CommitId, known: Iterable[CommitId]) -> set[CommitId]:
        """Return what *tip* has and *known* have not."""
        return self._difference((tip,), tuple(known))

    def is_ancestor(self, older: CommitId, newer: CommitId) -> bool:
        """Say whether *older* is *newer* or came before it."""
        return older == newer or older not in self._difference((older,), (newer,))

    def merge_bases(self, first: CommitId, second: CommitId) -> list[CommitId]:
        """Return the best common ancestors, in the order of their ids."""
        common = self.ancestors(first) & self.ancestors(second)
        inner = {parent for commit in common for parent in self[commit].parents}
        return sorted(common - inner)

    def linear(self, tip: CommitId) -> Iterator[CommitId]:
        """Yield *tip* and what came before it, newest first."""
        waiting = self._child_counts(tip)
        heap = [(-self[tip].wall_time, tip)]
        while heap:
            _, commit = heapq.heappop(heap)
            yield commit
            for parent in self[commit].parents:
                waiting[parent] -= 1
                if not waiting[parent]:
                    heapq.heappush(heap, (-self[parent].wall_time, parent))

    def _child_counts(self, tip: CommitId) -> dict[CommitId, int]:
        counts: dict[CommitId, int] = {tip: 0}
        pending = [tip]
        while pending:
            for parent in self[pending.pop()].parents:
                if parent in counts:
                    counts[parent] += 1
                else:
                    counts[parent] = 1
                    pending.append(parent)
        return counts

    def sayings(self, tip: CommitId) -> tuple[CommitId, ...]:
        """Return the newest commits below *tip* that say something: merges are looked through.

        Merges come and go while devices settle on one of them; what they join stays for ever.
        """
        found: set[CommitId] = set()
        pending, seen = [tip], {tip}
        while pending:
            commit = pending.pop()
            parents = self[commit].parents
            if len(parents) <= 1:
                found.add(commit)
                continue
            pending += [parent for parent in parents if parent not in seen]
            seen.update(parents)
        return tuple(sorted(found))

    def _difference(self, tips: tuple[CommitId, ...], known: tuple[CommitId, ...]) -> set[CommitId]:
        """Return ancestors of *tips* that are none of *known*, visiting little of what both have.

        Both sides are walked together, newest first. Dates may lie, so the walk ends only when
        nothing is left that one side alone has reached.
        """
        ours, theirs = 1, 2
        marks: dict[CommitId, int] = {}
        heap: list[tuple[int, CommitId]] = []
        open_count = 0  # commits in the heap that only `tips` have reached

        def mark(commit: CommitId, flag: int) -> None:
            nonlocal open_count
            before = marks.get(commit, 0)
            if before | flag == before:
                return
            marks[commit] = before | flag
            heapq.heappush(heap, (-self[commit].wall_time, commit))
            open_count += 1

        for commit in tips:
            mark(commit, ours)
        for commit in known:
            mark(commit, theirs)
        while heap and open_count:
            _, commit = heapq.heappop(heap)
            open_count -= 1
            flag = marks[commit]
            for parent in self[commit].parents:
                mark(parent, flag)
        return {commit for commit, flag in marks.items() if flag == ours}


def collect(store: GitStore, head: CommitId, graph: Graph, limit: int) -> list[Commit]:
    """Return the commits that *head* has and *graph* has not, parents before children.

    Raises:
        DecodeError: one is no commit of a conversation.
        HistoryTooLargeError: there are more than *limit*.
        ObjectMissingError: one is not in the store.
    """
    found: dict[CommitId, Commit] = {}
    pending = [] if head in graph else [head]
    while pending:
        commit_id = pending.pop()
        if commit_id in found:
            continue
        kind, raw = store.read(commit_id)
        if kind is not ObjectKind.COMMIT:
            raise DecodeError(f"{commit_id} is a {kind.value}, not a commit")
        found[commit_id] = commit = Commit.parse(raw)
        if len(found) > limit:
            raise HistoryTooLargeError("commits in one fetch", limit)
        pending += [parent for parent in commit.parents if parent not in graph]
    return parents_first(found)


def parents_first(commits: dict[CommitId, Commit]) -> list[Commit]:
    """Sort topologically; of those that may come next, the oldest first.

    Parents that are not among *commits* count as known.
    """
    children: dict[CommitId, list[CommitId]] = {}
    waiting: dict[CommitId, int] = {}
    for commit in commits.values():
        inside = {parent for parent in commit.parents if parent in commits}
        waiting[commit.id] = len(inside)
        for parent in inside:
            children.setdefault(parent, []).append(commit.id)
    heap = [(commits[c].wall_time, c) for c, count in waiting.items() if not count]
    heapq.heapify(heap)
    ordered: list[Commit] = []
    while heap:
        _, commit_id = heapq.heappop(heap)
        ordered.append(commits[commit_id])
        for child in children.get(commit_id, ()):
            waiting[child] -= 1
            if not waiting[child]:
                heapq.heappush(heap, (commits[child].wall_time, child))
    return ordered
