"""Entries that were inserted here, while they live: renewed in time, moved when a leaf is split.

Entries live ten minutes. Those that are kept are put again before that. All of them are watched: a
canary in the next node down the path says that their leaf was split, so they are put again there.
Both wait in one line, as few of them are to be under way at once.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core.records import dataclass
from shoal.dht.errors import TooManyOperationsError
from shoal.dht.pht.effects import CancelRequest, PhtEffect, WatchNode
from shoal.dht.pht.entry import IndexEntry, IndexValue
from shoal.dht.pht.prefix import Prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.core import Entropy, InfoHash
    from shoal.dht.pht.search import PhtStats

ENTRY_LIFE: Final = 600.0  # reference section 2.7: the life of type 0
KEEP_INTERVAL: Final = (420.0, 540.0)  # ours: drawn, so that a bulk of entries spreads out
RETRY_INTERVAL: Final = 30.0  # ours: after a renewal that failed
RUNNING_MAX: Final = 32  # ours: renewals and moves under way; others wait for their turn
ENTRIES_MAX: Final = 65_536  # ours: entries that live or are kept
VALUE_ID_MAX: Final = 2**64 - 1  # reference section 2.1: a uint64, and 0 is none

EntryId: TypeAlias = tuple[bytes, IndexValue]


@dataclass(slots=True, eq=False)
class Record:
    """An entry that was inserted here.

    Attributes:
        path: its key; the entry is put no deeper than this has bits.
        value_id: of the value that carries the entry; the same each time, so puts refresh.
        made: when the entry began to live.
        due: when it is to be renewed, or when its life is over.
        watched: the node at which a canary would tell of a split.
    """

    entry: IndexEntry
    path: Prefix
    value_id: int
    made: float = 0.0
    is_kept: bool = False
    due: float = 0.0
    watched: InfoHash | None = None

    @property
    def id(self) -> EntryId:
        """What tells it from others."""
        return self.entry.prefix, self.entry.value


@dataclass(slots=True, eq=False)
class _Watch:
    """A listen for canaries, and the entries that it is for."""

    request: int
    records: dict[EntryId, Record] = field(default_factory=dict)


class Upkeep:
    """The entries of one index that were inserted here."""

    def __init__(self, stats: PhtStats, request_ids: Iterator[int], entropy: Entropy) -> None:
        self._stats = stats
        self._request_ids = request_ids
        self._entropy = entropy
        self._records: dict[EntryId, Record] = {}
        self._due: list[tuple[float, int, EntryId]] = []  # heap; stale ones are skipped
        self._order = itertools.count()
        self._watches: dict[InfoHash, _Watch] = {}
        self._watched: dict[int, InfoHash] = {}  # by request
        self._line: deque[tuple[Record, bool]] = deque()  # who waits, and whether to move
        self._busy: dict[EntryId, bool] = {}  # who waits or is under way; and whether once more

    def __contains__(self, record: object) -> bool:
        return isinstance(record, Record) and self._records.get(record.id) is record

    def add(self, path: Prefix, value: IndexValue, now: float, *, is_kept: bool) -> Record:
        """Take note of an entry that begins to live *now*.

        Raises:
            TooManyOperationsError: as many as allowed live.
        """
        entry = IndexEntry(path.content, value)
        record = self._records.get((entry.prefix, value))
        if record is None:
            if len(self._records) >= ENTRIES_MAX:
                raise TooManyOperationsError
            record = Record(entry, path, 1 + self._entropy.below(VALUE_ID_MAX))
            self._records[record.id] = record
        record.made, record.is_kept = now, is_kept
        self._schedule(record, self._wait(record), now)
        return record

    def remove(self, entry_id: EntryId) -> list[PhtEffect]:
        """Forget an entry; what is stored of it expires."""
        record = self._records.pop(entry_id, None)
        return [] if record is None else self.unwatch(record)

    def watch(self, record: Record, depth: int) -> list[PhtEffect]:
        """Follow the node below *depth* on the path of an entry, which lies at *depth* now."""
        effects = self.unwatch(record)
        whole = Prefix.whole(record.entry.prefix)
        if record not in self or depth >= whole.bits:
            return effects
        record.watched = key = whole.cut(depth + 1).key
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch(next(self._request_ids))
            self._watched[watch.request] = key
            effects.append(WatchNode(watch.request, key))
        watch.records[record.id] = record
        return effects

    def unwatch(self, record: Record) -> list[PhtEffect]:
        """Follow no more for an entry; a watch without entries ends."""
        if record.watched is None:
            return []
        watch = self._watches[record.watched]
        del watch.records[record.id]
        if not watch.records:
            del self._watches[record.watched], self._watched[watch.request]
        record.watched = None
        return [] if watch.records else [CancelRequest(watch.request)]

    def is_watch(self, request: int) -> bool:
        """Whether *request* is a watch of ours."""
        return request in self._watched

    def split_seen(self, request: int, now: float) -> list[PhtEffect]:
        """Line up the entries above a node where a canary has appeared."""
        watch = self._watches.pop(self._watched.pop(request))
        for record in watch.records.values():
            record.watched = None
            if now < record.made + ENTRY_LIFE:
                self._stats.moved += 1
                self._line_up(record, is_move=True)
        return [CancelRequest(request)]

    def next_deadline(self) -> float | None:
        """When an entry is to be renewed or forgotten next. Pure."""
        return self._due[0][0] if self._due else None

    def advance(self, now: float) -> list[PhtEffect]:
        """Line up kept entries whose time is running out; forget others whose time is over."""
        effects: list[PhtEffect] = []
        while self._due and self._due[0][0] <= now:
            due, _, entry_id = heapq.heappop(self._due)
            record = self._records.get(entry_id)
            if record is None or record.due != due:
                continue
            if record.is_kept:
                record.made = now
                self._stats.renewed += 1
                self._schedule(record, self._wait(record), now)
                self._line_up(record, is_move=False)
            else:
                effects += self.remove(entry_id)
        return effects

    def next_in_line(self) -> tuple[Record, bool] | None:
        """Return an entry to put again, and whether that is a move; None if none may be."""
        while self._line and len(self._busy) - len(self._line) < RUNNING_MAX:
            record, is_move = self._line.popleft()
            if record in self:
                return record, is_move
            del self._busy[record.id]
        return None

    def finished(self, record: Record) -> None:
        """Take note that an entry from the line was put again, or could not be."""
        current = self._records.get(record.id)
        if self._busy.pop(record.id) and current is not None:
            self._line_up(current, is_move=False)

    def failed(self, record: Record, now: float) -> None:
        """Try a kept entry again soon."""
        if record.is_kept and record in self:
            self._schedule(record, RETRY_INTERVAL, now)

    def _wait(self, record: Record) -> float:
        """Return how long an entry can be left alone from now."""
        return self._entropy.uniform(*KEEP_INTERVAL) if record.is_kept else ENTRY_LIFE

    def _schedule(self, record: Record, wait: float, now: float) -> None:
        """Wake up for *record* once, after *wait*."""
        record.due = now + wait
        heapq.heappush(self._due, (record.due, next(self._order), record.id))
        if len(self._due) > 2 * len(self._records) + RUNNING_MAX:  # more stale ones than others
            self._due = [(each.due, next(self._order), each.id) for each in self._records.values()]
            heapq.heapify(self._due)

    def _line_up(self, record: Record, *, is_move: bool) -> None:
        """Let an entry wait for its turn; once is enough, but for what is put with its old age."""
        if record.id not in self._busy:
            self._busy[record.id] = False
            self._line.append((record, is_move))
        elif not is_move:
            self._busy[record.id] = True
