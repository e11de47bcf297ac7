"""Three-way merges of trees, which end the same whichever side does them.

A file that one side changed is taken from that side. Where both changed one in two ways, the side
with the greater head wins, as hexadecimal text: Jami's rule for the profile, which is the only
file that honest peers ever change in two ways at once. Source: Jami's conversationrepository.cpp,
merge and its conflict resolution; it gives up on conflicts in other files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.swarm.trees import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.core import CommitId
    from shoal.swarm.history import Graph
    from shoal.swarm.trees import FlatTree

RECURSION_MAX: Final = 2  # Jami of 2026: its limit for virtual merge bases


def merge_trees(base: FlatTree, first: FlatTree, second: FlatTree) -> dict[str, bytes]:
    """Return *first* with what *second* changed since *base*; *first* wins conflicts."""
    merged: dict[str, bytes] = {}
    for path in first.keys() | second.keys():
        ours, theirs, before = first.get(path), second.get(path), base.get(path)
        kept = theirs if ours == before else ours
        if kept is not None:
            merged[path] = kept
    return merged


def merge_heads(
    graph: Graph, first: CommitId, second: CommitId, read: Callable[[bytes], FlatTree]
) -> dict[str, bytes]:
    """Return the files of the merge of two heads; the order of the two does not matter."""
    winner, loser = max(first, second), min(first, second)
    base = _base(graph, winner, loser, read, RECURSION_MAX)
    return merge_trees(base, read(graph[winner].tree), read(graph[loser].tree))


def _base(
    graph: Graph,
    first: CommitId,
    second: CommitId,
    read: Callable[[bytes], FlatTree],
    depth: int,
) -> FlatTree:
    """Return the common ancestor's files; of several ancestors, the merge of them all."""
    bases = graph.merge_bases(first, second)
    if not bases:
        return EMPTY
    merged = read(graph[bases[0]].tree)
    for other in bases[1:] if depth else ():
        below = _base(graph, bases[0], other, read, depth - 1)
        merged = merge_trees(below, merged, read(graph[other].tree))
    return merged
