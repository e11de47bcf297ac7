"""The graph of commits, and the one line that people read.

Order: children before parents, of those the newest first; equal seconds by id, so that equal
histories read the same everywhere. Source: git's --topo-order with dates, which Jami walks with.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

from shoal.core import DecodeError
from shoal.swarm.commits import Commit
from shoal.swarm.errors import HistoryTooLargeError, ObjectMissingError
from shoal.swarm.store import ObjectKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator

    from shoal.core import CommitId
    from shoal.swarm.store import GitStore


COLLECTED_BYTES_MAX: Final = 536_870_912  # ours: of commits, in memory while they are judged


class Node(NamedTuple):
    """What the graph keeps of a commit."""

    parents: tuple[CommitId, ...]
    wall_time: int
    tree: bytes
    generation: int  # one more than the greatest of its parents': children are above parents


class Graph:
    """Commits and what came before them."""

    def __init__(self, find: Callable[[CommitId], Node | None] = lambda commit: None) -> None:
        """Start empty, but for what *find* gives when it is asked for."""
        self._nodes: dict[CommitId, Node] = {}
        self._find = find

    def __len__(self) -> int:
        """How many commits are in memory."""
        return len(self._nodes)

    def __contains__(self, commit: CommitId) -> bool:
        return commit in self._nodes or self._find(commit) is not None

    def __getitem__(self, commit: CommitId) -> Node:
        """Return a commit that is in the graph.

        Raises:
            ObjectMissingError: it is not.
        """
        found = self._nodes.get(commit) or self._find(commit)
        if found is None:
            raise ObjectMissingError(commit)
        return found

    def add(self, commit: Commit) -> None:
        """Add a commit whose parents are there."""
        generation = 1 + max((self[each].generation for each in commit.parents), default=0)
        self._nodes[commit.id] = Node(commit.parents, commit.wall_time, commit.tree, generation)

    def forget(self) -> None:
        """Hold nothing in memory: all is where *find* finds it."""
        self._nodes.clear()

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
        return sorted(self._common(first, second))

    def linear(
        self, tip: CommitId, within: Collection[CommitId] | None = None
    ) -> Iterator[CommitId]:
        """Yield *tip* and what came before it, newest first, as far as that is *within*."""
        if within is not None and tip not in within:
            return
        waiting = self._child_counts(tip, within)
        heap = [(-self[tip].wall_time, tip)]
        while heap:
            _, commit = heapq.heappop(heap)
            yield commit
            for parent in self[commit].parents:
                if parent not in waiting:
                    continue
                waiting[parent] -= 1
                if not waiting[parent]:
                    heapq.heappush(heap, (-self[parent].wall_time, parent))

    def _child_counts(
        self, tip: CommitId, within: Collection[CommitId] | None
    ) -> dict[CommitId, int]:
        counts: dict[CommitId, int] = {tip: 0}
        pending = [tip]
        while pending:
            for parent in self[pending.pop()].parents:
                if parent in counts:
                    counts[parent] += 1
                elif within is None or parent in within:
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

    def _common(self, first: CommitId, second: CommitId) -> list[CommitId]:
        """Return the best common ancestors, visiting little of what is below them."""
        ours, theirs, below = 1, 2, 4
        found: list[CommitId] = []
        walk = _Walk(self, {first: ours}, {second: theirs}, is_open=lambda flag: not flag & below)
        for commit, flag in walk:
            if flag == ours | theirs:
                found.append(commit)
                flag |= below  # noqa: PLW2901 - so are those that it stands on
            walk.mark_parents(commit, flag)
        return found

    def _difference(self, tips: tuple[CommitId, ...], known: tuple[CommitId, ...]) -> set[CommitId]:
        """Return ancestors of *tips* that are none of *known*, visiting little of the rest."""
        ours, theirs = 1, 2
        found: set[CommitId] = set()
        walk = _Walk(
            self,
            dict.fromkeys(tips, ours),
            dict.fromkeys(known, theirs),
            is_open=lambda flag: flag != ours | theirs,
        )
        for commit, flag in walk:
            if flag == ours:
                found.add(commit)
            walk.mark_parents(commit, flag)
        return found


class _Walk:
    """Walks from two sides at once, children before parents, while a mark is open.

    Marks are handed down to parents by who walks. As no parent comes before its children, whatever
    their dates say, each commit comes once and with all its marks.
    """

    def __init__(
        self,
        graph: Graph,
        *sides: dict[CommitId, int],
        is_open: Callable[[int], bool],
    ) -> None:
        self._graph = graph
        self._is_open = is_open
        self._marks: dict[CommitId, int] = {}
        self._heap: list[tuple[int, CommitId]] = []
        self._open_count = 0
        for side in sides:
            for commit, flag in side.items():
                self._mark(commit, flag)

    def __iter__(self) -> Iterator[tuple[CommitId, int]]:
        while self._open_count:
            _, commit = heapq.heappop(self._heap)
            flag = self._marks.pop(commit)
            self._open_count -= self._is_open(flag)
            yield commit, flag

    def mark_parents(self, commit: CommitId, flag: int) -> None:
        """Hand marks down."""
        for parent in self._graph[commit].parents:
            self._mark(parent, flag)

    def _mark(self, commit: CommitId, flag: int) -> None:
        before = self._marks.get(commit)
        if before is None:
            heapq.heappush(self._heap, (-self._graph[commit].generation, commit))
        else:
            self._open_count -= self._is_open(before)
        self._marks[commit] = flag = flag | (before or 0)
        self._open_count += self._is_open(flag)


def collect(
    store: GitStore,
    head: CommitId,
    graph: Graph,
    limit: int,
    *,
    broken: dict[CommitId, DecodeError | ObjectMissingError] | None = None,
    skip: Container[CommitId] = (),
) -> list[Commit]:
    """Return the commits that *head* has and *graph* has not, parents before children.

    What is below one of *skip* is passed over, unless it is reached another way. One that cannot be
    read goes into *broken*, where that is given.

    Raises:
        DecodeError: one is no commit of a conversation.
        HistoryTooLargeError: there are more than *limit*, or too many bytes of them.
        ObjectMissingError: one is not in the store.
    """
    found: dict[CommitId, Commit] = {}
    size = 0
    pending = [] if head in graph or head in skip else [head]
    while pending:
        commit_id = pending.pop()
        if commit_id in found or (broken is not None and commit_id in broken):
            continue
        try:
            commit = _read_commit(store, commit_id)
        except (DecodeError, ObjectMissingError) as error:
            if broken is None:
                raise
            broken[commit_id] = error
            continue
        found[commit_id] = commit
        size += len(commit.raw)
        if len(found) > limit:
            raise HistoryTooLargeError("commits in one fetch", limit)
        if size > COLLECTED_BYTES_MAX:
            raise HistoryTooLargeError("bytes of commits in one fetch", COLLECTED_BYTES_MAX)
        pending += [each for each in commit.parents if each not in graph and each not in skip]
    return parents_first(found)


def _read_commit(store: GitStore, commit_id: CommitId) -> Commit:
    kind, raw = store.read(commit_id)
    if kind is not ObjectKind.COMMIT:
        raise DecodeError(f"{commit_id} is a {kind.value}, not a commit")
    return Commit.parse(raw)


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
