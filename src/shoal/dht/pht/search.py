"""The search for a leaf of a prefix hash tree, by bisection of the depth.

A node is part of the tree if a canary lies there; the leaf of a key is the deepest such node on its
path, so that the one below it has none:

    no canary at mid           the leaf is above: hi = mid - 1
    canaries at mid, mid + 1   it is below: lo = mid + 1
    canary at mid only         it is the leaf

Bisection sees some nodes of the path only, and entries may lie above the leaf as well: they were
put there before a split by somebody who has left since, or into a parent whose children had become
sparse. OpenDHT misses those; a *thorough* search also reads the nodes above that it did not visit.

Source: OpenDHT indexation/pht.cpp, lookupStep.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core import DecodeError, InfoHash
from shoal.core.records import dataclass
from shoal.dht.pht.entry import CANARY, USER_TYPE, IndexEntry, IndexValue
from shoal.dht.pht.prefix import Prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.dht.value import Value

ENTRIES_PER_NODE_MAX: Final = 1024  # ours: 64 times what a leaf should hold; the rest is ignored
RESULTS_MAX: Final = 4096  # ours: entries that one lookup returns; the rest is ignored
SWEPT_MAX: Final = 64  # ours: nodes above a leaf that are read; half next to the root, half to it


@dataclass(slots=True)
class PhtStats:
    """Counters of one index.

    Attributes:
        searches: searches for a leaf that were begun.
        inserted: entries that were put, each time that they were.
        splits: leaves found full, so that entries moved down.
        renewed: entries put again because their time was running out.
        moved: entries put again because their leaf was split.
        malformed: values under our names that are no entries, or lie where they do not belong.
        overflowed: entries that were ignored because there were too many.
    """

    searches: int = 0
    inserted: int = 0
    splits: int = 0
    renewed: int = 0
    moved: int = 0
    malformed: int = 0
    overflowed: int = 0


@dataclass(slots=True)
class Node:
    """What is known of one node of the tree.

    Attributes:
        is_marked: it has a canary.
        ok: the DHT answered; None while it hasn't.
        entries: its entries, by the hash of the prefix and the value.
        likeness_min: bits that the least like of its entries has in common with the key.
    """

    is_marked: bool = False
    ok: bool | None = None
    entries: dict[tuple[InfoHash, IndexValue], None] = field(default_factory=dict)
    likeness_min: int | None = None

    @property
    def count(self) -> int:
        """How many entries it has."""
        return len(self.entries)

    def has(self, entry: IndexEntry) -> bool:
        """Whether *entry* is here."""
        return (InfoHash.of(entry.prefix), entry.value) in self.entries


class Harvest:
    """The entries that a lookup is about, from whichever nodes."""

    def __init__(self, key: Prefix, *, is_exact: bool) -> None:
        """Keep the entries of *key* itself, or else those that are most like it."""
        self._key = key
        self._is_exact = is_exact
        self._likeness = 0
        self._entries: dict[IndexValue, IndexEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[IndexEntry, ...]:
        """Return what was kept, each value once."""
        return tuple(self._entries.values())

    def add(self, entry: IndexEntry) -> bool:
        """Keep *entry* if it is wanted; return False if there is no room for it."""
        if self._is_exact:
            if entry.prefix != self._key.content:
                return True
        else:
            likeness = self._key.common_bits(Prefix.whole(entry.prefix))
            if likeness < self._likeness:
                return True
            if likeness > self._likeness:
                self._entries.clear()
                self._likeness = likeness
        if len(self._entries) >= RESULTS_MAX and entry.value not in self._entries:
            return False
        self._entries.setdefault(entry.value, entry)
        return True


class Search:
    """Finds the leaf on one path; says which depths it wants to be read, and takes what lies there.

    Attributes:
        leaf: the depth of the leaf, once found.
        has_failed: the DHT didn't answer.
    """

    def __init__(
        self,
        path: Prefix,
        name: str,
        content_size: int,
        stats: PhtStats,
        *,
        lo: int = 0,
        start: int | None = None,
        harvest: Harvest | None = None,
        is_thorough: bool = False,
    ) -> None:
        """Search on *path* from depth *lo* to its size, beginning at *start* or in the middle."""
        self.path: Final = path
        self._whole = Prefix.whole(path.content)
        self.leaf: int | None = None
        self.has_failed = False
        self.nodes: Final[dict[int, Node]] = {}
        self._user_type = USER_TYPE + name
        self._content_size = content_size
        self._stats = stats
        self._lo, self._hi = lo, path.size
        self._start = None if start is None else min(start, path.size)
        self._harvest = harvest
        self._is_thorough = is_thorough
        self._wanted: list[int] = []
        self._step()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come."""
        if self.leaf is None:
            return self.has_failed
        return not self._is_thorough or all(
            node.ok is not None for depth, node in self.nodes.items() if depth <= self.leaf
        )

    def wanted(self) -> list[int]:
        """Return the depths to be read, each once."""
        wanted, self._wanted = self._wanted, []
        return wanted

    def found(self, depth: int, values: Iterable[Value]) -> None:
        """Take values that lie in the node at *depth*."""
        node = self.nodes[depth]
        for value in values:
            if value.user_type == self._user_type:
                self._take_entry(depth, node, value)
            elif value.user_type == self._user_type + CANARY:
                node.is_marked = True

    def done(self, depth: int, *, ok: bool) -> None:
        """Take the end of the reading of a node; *ok* if the DHT answered."""
        self.nodes[depth].ok = ok
        self._step()

    def _step(self) -> None:
        """Go as far as what is known allows."""
        while self.leaf is None and not self.has_failed:
            if self._lo > self._hi:
                self._end(max(0, self._hi))
                return
            middle = (self._lo + self._hi) // 2 if self._start is None else self._start
            first = self._read(middle)
            is_outside = first.ok is not None and not first.is_marked
            if is_outside or middle + 1 >= self.path.size:
                second = _NOTHING
            else:
                second = self._read(middle + 1)  # both at once: it saves a round trip
            if first.ok is None or (first.is_marked and second.ok is None):
                return
            self._start = None
            if not (first.ok and second.ok):
                self.has_failed = True
            elif is_outside:
                self._hi = middle - 1
            elif second.is_marked:
                self._lo = middle + 1
            else:
                self._end(middle)

    def _end(self, leaf: int) -> None:
        """Stop at a leaf; a thorough search still has to look at what is above."""
        self.leaf = leaf
        if self._is_thorough:
            above = list(range(leaf))
            if leaf > SWEPT_MAX:
                above = above[: SWEPT_MAX // 2] + above[-SWEPT_MAX // 2 :]
            for depth in above:
                self._read(depth)

    def _read(self, depth: int) -> Node:
        """Return what is known of a node, which is read unless it was already."""
        node = self.nodes.get(depth)
        if node is None:
            node = self.nodes[depth] = Node()
            self._wanted.append(depth)
        return node

    def _take_entry(self, depth: int, node: Node, value: Value) -> None:
        """Take an entry, unless it cannot belong where it lies: a peer may put anything there."""
        try:
            entry = IndexEntry.unpack(value.data)
        except DecodeError:
            self._stats.malformed += 1
            return
        whole = Prefix.whole(entry.prefix)
        if len(entry.prefix) != self._content_size or not whole.starts_with(self.path.cut(depth)):
            self._stats.malformed += 1
            return
        if node.count >= ENTRIES_PER_NODE_MAX:
            self._stats.overflowed += 1
            return
        node.entries[InfoHash.of(entry.prefix), entry.value] = None
        likeness = self._whole.common_bits(whole)
        if node.likeness_min is None or likeness < node.likeness_min:
            node.likeness_min = likeness
        if self._harvest is not None and not self._harvest.add(entry):
            self._stats.overflowed += 1


_NOTHING: Final = Node(ok=True)  # in the place of a node that need not be read
