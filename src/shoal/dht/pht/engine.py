"""A prefix hash tree: an index over the DHT, which finds values by fields instead of by their key.

    lookup ── search for the leaf ── (nearest and nothing there: on in the sibling) ── entries
    insert ── search for the leaf ─┬─ room there ── sparse with its sibling? ── put there or above
                                   └─ full ── split: canaries down to where we differ ── put there

Putting an entry also renews the canaries of its path, and leaves a watch on the next node down:
when a canary appears there, the leaf was split, and the entry is put again further down. Entries
live ten minutes; those that are kept are put again in time.

It asks for gets, listens and puts by effects with request ids, and is told of their results. All
peers can write to the nodes of an index; what lies there is believed as far as it fits its place.

Source: OpenDHT indexation/pht.cpp. Differences, none of which other implementations need to know:

- all canaries above an entry are renewed, not each with probability ½ of the one below: bisection
  misses entries below a gap;
- lookups of a key also read the nodes above its leaf, and go deeper than the key's own bits;
- equal keys, and a split that would go down more than 64 levels, share a leaf without bound;
- an entry that moves down keeps to the bits of its own key, so that lookups reach it.
"""

from __future__ import annotations

import itertools
from dataclasses import field
from typing import TYPE_CHECKING, Final

from shoal.core.records import dataclass
from shoal.dht.errors import IndexKeyError, TooManyOperationsError
from shoal.dht.pht.cache import LeafCache
from shoal.dht.pht.canaries import Canaries
from shoal.dht.pht.effects import (
    CancelRequest,
    InsertDone,
    LookupDone,
    PhtEffect,
    PutNode,
    ReadNode,
)
from shoal.dht.pht.entry import CANARY, NAME_SIZE_MAX, USER_TYPE, IndexValue, canary
from shoal.dht.pht.prefix import KeySpec, Prefix
from shoal.dht.pht.search import Harvest, PhtStats, Search
from shoal.dht.pht.upkeep import VALUE_ID_MAX, Record, Upkeep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shoal.core import Entropy, InfoHash
    from shoal.dht.value import Value

LEAF_ENTRIES_MAX: Final = 16  # OpenDHT pht.h: MAX_NODE_ENTRY_COUNT
SPLIT_LEVELS_MAX: Final = 64  # ours: two puts per level; a hostile leaf could ask for thousands
OPERATIONS_MAX: Final = 4096  # ours: lookups and insertions of callers under way
SIBLINGS_MAX: Final = 64  # ours: rounds of a lookup for the nearest entry


@dataclass(slots=True, eq=False)
class _Lookup:
    """A lookup that is under way."""

    op: int
    harvest: Harvest
    search: Search
    is_exact: bool
    rounds: int = 0
    reads: dict[int, int] = field(default_factory=dict)  # request: depth


@dataclass(slots=True, eq=False)
class _Insertion:
    """An entry on its way into the tree.

    Attributes:
        op: the caller's, or None if it is upkeep or was cancelled.
        is_upkeep: it came from the line.
        is_move: to where it belongs after a split, which is neither to be undone nor repeated.
        counts: requests that count the entries of parent and sibling.
        counted: entries at leaf, parent and sibling.
    """

    op: int | None
    record: Record
    search: Search
    is_upkeep: bool = False
    is_move: bool = False
    reads: dict[int, int] = field(default_factory=dict)
    counts: dict[int, None] = field(default_factory=dict)
    counted: int = 0


class PhtEngine:
    """One index.

    Attributes:
        name: its name; other indexes share its nodes, under other names.
        spec: its fields.
        stats: counters.
    """

    def __init__(self, name: str, fields: Mapping[str, int], entropy: Entropy) -> None:
        """Open the index *name*; *fields* gives the most bytes of each, the same for all users.

        Raises:
            IndexKeyError: the name is too long, or the fields are not possible.
        """
        if len(name.encode()) > NAME_SIZE_MAX:
            raise IndexKeyError(f"an index name of more than {NAME_SIZE_MAX} bytes")
        self.name: Final = name
        self.spec: Final = KeySpec(fields)
        self.stats: Final = PhtStats()
        self._request_ids = itertools.count(1)
        mark = canary(name, 1 + entropy.below(VALUE_ID_MAX))
        self._canaries = Canaries(mark, self._request_ids, entropy)
        self._upkeep = Upkeep(self.stats, self._request_ids, entropy)
        self._cache = LeafCache()
        self._operations: dict[int, _Lookup | _Insertion] = {}  # of callers, by op
        self._reads: dict[int, _Lookup | _Insertion] = {}  # by request
        self._counts: dict[int, _Insertion] = {}
        self._puts: dict[int, _Insertion] = {}

    def lookup(
        self, op: int, key: Mapping[str, bytes], now: float, *, is_exact: bool = True
    ) -> list[PhtEffect]:
        """Find the entries of *key*, or else those most like it; one `LookupDone` follows.

        Raises:
            IndexKeyError: *key* doesn't fit the fields.
            TooManyOperationsError: as many as allowed are under way.
        """
        prefix = self.spec.linearize(key)
        self._check_room(op)
        path = Prefix.whole(prefix.content) if is_exact else prefix
        harvest = Harvest(prefix, is_exact=is_exact)
        search = self._search(path, now, harvest=harvest, is_thorough=is_exact)
        lookup = self._operations[op] = _Lookup(op, harvest, search, is_exact)
        return self._read(lookup)

    def insert(
        self,
        op: int,
        key: Mapping[str, bytes],
        value: IndexValue,
        now: float,
        *,
        is_kept: bool = False,
    ) -> list[PhtEffect]:
        """Let *key* lead to *value* for ten minutes, or until `remove` if it *is_kept*.

        One `InsertDone` follows; a kept entry whose insertion failed is tried again later.

        Raises:
            IndexKeyError: *key* doesn't fit the fields.
            TooManyOperationsError: as many as allowed are under way, or alive.
        """
        path = self.spec.linearize(key)
        self._check_room(op)
        record = self._upkeep.add(path, value, now, is_kept=is_kept)
        insertion = self._operations[op] = _Insertion(op, record, self._search(path, now))
        return self._read(insertion)

    def remove(self, key: Mapping[str, bytes], value: IndexValue) -> list[PhtEffect]:
        """Keep an entry no longer; what is stored of it expires within ten minutes.

        Raises:
            IndexKeyError: *key* doesn't fit the fields.
        """
        return self._upkeep.remove((self.spec.linearize(key).content, value))

    def cancel(self, op: int) -> list[PhtEffect]:
        """End an operation without an event; an entry being inserted is kept no longer."""
        operation = self._operations.pop(op, None)
        if operation is None:
            return []
        effects = self._stop_reading(operation)
        if isinstance(operation, _Insertion):
            operation.op = None
            effects += self._upkeep.remove(operation.record.id)
        return effects

    def values_found(self, request: int, values: Sequence[Value], now: float) -> list[PhtEffect]:
        """Take what a read or a watch found."""
        operation = self._reads.get(request)
        if operation is not None:
            operation.search.found(operation.reads[request], values)
            return []
        insertion = self._counts.get(request)
        user_type = USER_TYPE + self.name
        if insertion is not None:
            insertion.counted += sum(value.user_type == user_type for value in values)
            return []
        is_split = any(value.user_type == user_type + CANARY for value in values)
        if not is_split or not self._upkeep.is_watch(request):
            return []
        return self._upkeep.split_seen(request, now) + self._work(now)

    def request_done(self, request: int, now: float, *, ok: bool) -> list[PhtEffect]:
        """Take the end of a read or a put; *ok* if the DHT answered, or stored."""
        operation = self._reads.pop(request, None)
        if operation is not None:
            operation.search.done(operation.reads.pop(request), ok=ok)
            return self._go_on(operation, now)
        insertion = self._counts.pop(request, None)
        if insertion is not None:
            del insertion.counts[request]
            return [] if insertion.counts else self._counted(insertion, now)
        insertion = self._puts.pop(request, None)
        if insertion is not None:
            return self._inserted(insertion, now, ok=ok)
        self._canaries.done(request, ok=ok)
        return []

    def next_deadline(self) -> float | None:
        """When an entry is to be renewed or forgotten next. Pure."""
        return self._upkeep.next_deadline()

    def advance(self, now: float) -> list[PhtEffect]:
        """Renew kept entries that are due, forget others whose life is over."""
        return self._upkeep.advance(now) + self._work(now)

    def _search(
        self,
        path: Prefix,
        now: float,
        *,
        lo: int = 0,
        harvest: Harvest | None = None,
        is_thorough: bool = False,
    ) -> Search:
        """Begin a search, where the cache says if it begins at the root."""
        self.stats.searches += 1
        return Search(
            path,
            self.name,
            self.spec.content_size,
            self.stats,
            lo=lo,
            start=None if lo else self._cache.depth(path, now),
            harvest=harvest,
            is_thorough=is_thorough,
        )

    def _read(self, operation: _Lookup | _Insertion) -> list[PhtEffect]:
        """Ask for the nodes that a search wants."""
        effects: list[PhtEffect] = []
        for depth in operation.search.wanted():
            request = next(self._request_ids)
            self._reads[request] = operation
            operation.reads[request] = depth
            effects.append(ReadNode(request, operation.search.path.cut(depth).key))
        return effects

    def _stop_reading(self, operation: _Lookup | _Insertion) -> list[PhtEffect]:
        """Cancel what an operation still waits for."""
        requests = list(operation.reads)
        for request in requests:
            del self._reads[request]
        operation.reads = {}
        if isinstance(operation, _Insertion):
            for request in operation.counts:
                del self._counts[request]
            requests += operation.counts
            operation.counts = {}
        return [CancelRequest(request) for request in requests]

    def _go_on(self, operation: _Lookup | _Insertion, now: float) -> list[PhtEffect]:
        """Read on, or use what a search has found."""
        search = operation.search
        if not search.is_over:
            return self._read(operation)
        effects = self._stop_reading(operation)
        if search.leaf is not None:
            self._cache.insert(search.path.cut(search.leaf), now)
        if isinstance(operation, _Lookup):
            return effects + self._looked_up(operation, now)
        return effects + self._found_leaf(operation, now)

    def _looked_up(self, lookup: _Lookup, now: float) -> list[PhtEffect]:
        """End a lookup, or go on in the sibling: one level further up each time, as upstream."""
        search = lookup.search
        leaf = search.leaf or 0
        if not lookup.is_exact and leaf and not lookup.harvest and lookup.rounds < SIBLINGS_MAX:
            lookup.rounds += 1
            sibling = Prefix.whole(search.path.cut(leaf).sibling().content)
            lookup.search = self._search(sibling, now, lo=leaf, harvest=lookup.harvest)
            return self._read(lookup)
        del self._operations[lookup.op]
        return [LookupDone(lookup.op, not search.has_failed, lookup.harvest.entries())]

    def _found_leaf(self, insertion: _Insertion, now: float) -> list[PhtEffect]:
        """Decide where in the neighbourhood of the leaf the entry goes."""
        search = insertion.search
        leaf = search.leaf
        if leaf is None:
            return self._inserted(insertion, now, ok=False)
        node = search.nodes[leaf]
        others = node.count - node.has(insertion.record.entry)
        if insertion.is_move or leaf == search.path.size:
            return self._place(insertion, leaf, now)
        if others >= LEAF_ENTRIES_MAX:
            return self._place(insertion, self._split_depth(search, leaf), now)
        if not leaf:
            return self._place(insertion, leaf, now)
        insertion.counted = others
        keys = (search.path.cut(leaf - 1).key, search.path.cut(leaf).sibling().key)
        return [self._count(insertion, key) for key in keys]

    def _split_depth(self, search: Search, leaf: int) -> int:
        """Return how far down a split of a full leaf goes: to where the key differs there."""
        likeness = search.nodes[leaf].likeness_min
        assert likeness is not None, "a full leaf has entries"
        if likeness >= search.path.bits:
            return leaf  # all are of this very key
        self.stats.splits += 1
        return min(likeness + 1, search.path.size, leaf + SPLIT_LEVELS_MAX)

    def _count(self, insertion: _Insertion, key: InfoHash) -> PhtEffect:
        """Ask how many entries a neighbour has."""
        request = next(self._request_ids)
        self._counts[request] = insertion
        insertion.counts[request] = None
        return ReadNode(request, key)

    def _counted(self, insertion: _Insertion, now: float) -> list[PhtEffect]:
        """Put the entry one up if leaf, parent and sibling could be one leaf."""
        leaf = insertion.search.leaf
        assert leaf, "the root has no neighbours"
        is_sparse = insertion.counted < LEAF_ENTRIES_MAX
        return self._place(insertion, leaf - 1 if is_sparse else leaf, now)

    def _place(self, insertion: _Insertion, depth: int, now: float) -> list[PhtEffect]:
        """Put the entry and the canaries of its path, and watch the node below."""
        record, path = insertion.record, insertion.search.path
        leaf = min(insertion.search.leaf or 0, depth)
        node = path.cut(depth)
        effects = self._canaries.mark_path(path, leaf, depth, now)
        effects += self._upkeep.watch(record, depth)
        self._cache.insert(node, now)
        self.stats.inserted += 1
        request = next(self._request_ids)
        self._puts[request] = insertion
        value = record.entry.pack(self.name, record.value_id)
        return [*effects, PutNode(request, node.key, value, now - record.made)]

    def _inserted(self, insertion: _Insertion, now: float, *, ok: bool) -> list[PhtEffect]:
        """End an insertion; an entry that is kept and could not be put is tried again."""
        effects: list[PhtEffect] = []
        if insertion.op is not None:
            del self._operations[insertion.op]
            effects.append(InsertDone(insertion.op, ok))
        if insertion.is_upkeep:
            self._upkeep.finished(insertion.record)
        if not ok:
            self._upkeep.failed(insertion.record, now)
        return effects + self._work(now)

    def _work(self, now: float) -> list[PhtEffect]:
        """Begin what waits in line, as much as may be under way at once."""
        effects: list[PhtEffect] = []
        while (turn := self._upkeep.next_in_line()) is not None:
            record, is_move = turn
            search = self._search(record.path, now)
            effects += self._read(_Insertion(None, record, search, True, is_move))
        return effects

    def _check_room(self, op: int) -> None:
        """Make sure that one more operation may begin."""
        assert op not in self._operations, "the ids of running operations differ"
        if len(self._operations) >= OPERATIONS_MAX:
            raise TooManyOperationsError
