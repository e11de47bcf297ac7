"""Leaves of a prefix hash tree seen lately: where a search had better begin.

Source: OpenDHT indexation/pht.cpp, Pht::Cache.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shoal.dht.pht.prefix import Prefix

LEAVES_MAX: Final = 1024  # OpenDHT pht.h: MAX_ELEMENT; the one unused for longest goes first
LEAF_LIFE: Final = 300.0  # OpenDHT pht.h: NODE_EXPIRE_TIME
DEPTH_MAX: Final = 256  # ours: leaves that lie deeper are remembered by what is above them


class LeafCache:
    """The last leaves that searches ended at, and every node above them."""

    def __init__(self) -> None:
        self._leaves: OrderedDict[Prefix, float] = OrderedDict()  # until when; soonest first
        self._above: dict[Prefix, int] = {}  # how many leaves lie at or below each node

    def __len__(self) -> int:
        return len(self._leaves)

    def insert(self, leaf: Prefix, now: float) -> None:
        """Remember *leaf* for five minutes."""
        self._forget(now)
        leaf = leaf.cut(min(leaf.size, DEPTH_MAX))
        if leaf not in self._leaves:
            for size in range(leaf.size + 1):
                node = leaf.cut(size)
                self._above[node] = self._above.get(node, 0) + 1
        self._leaves[leaf] = now + LEAF_LIFE
        self._leaves.move_to_end(leaf)
        while len(self._leaves) > LEAVES_MAX:
            self._remove(next(iter(self._leaves)))

    def depth(self, prefix: Prefix, now: float) -> int | None:
        """Return how far down the path of *prefix* leads through what is remembered."""
        self._forget(now)
        if not self._leaves:
            return None
        depth = 0
        while depth < prefix.bits and prefix.cut(depth + 1) in self._above:
            depth += 1
        return depth

    def _forget(self, now: float) -> None:
        """Drop what is too old."""
        while self._leaves:
            leaf, until = next(iter(self._leaves.items()))
            if until > now:
                return
            self._remove(leaf)

    def _remove(self, leaf: Prefix) -> None:
        del self._leaves[leaf]
        for size in range(leaf.size + 1):
            node = leaf.cut(size)
            self._above[node] -= 1
            if not self._above[node]:
                del self._above[node]
