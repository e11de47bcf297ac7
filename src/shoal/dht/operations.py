"""Operations that callers started, shared by the searches of both families that work on them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from shoal.core import Family, InfoHash
from shoal.core.deadlines import Alarm, Deadlines, Sleeper
from shoal.dht.effects import Done, RowsFound, ValuesExpired, ValuesFound
from shoal.dht.query import Field, FieldTable, Query, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.dht.value import Value

COPIES_WANTED: Final = 3  # ours: copies of a large value fetched, so that one liar hides nothing
FOUND_SIZE_MAX: Final = 64 * 1024 * 1024  # ours: bytes that one get reports at most
FOUND_OVERHEAD: Final = 256  # ours: bytes that a value found costs besides its contents
ROWS_MAX: Final = 65_536  # ours: rows that one query reports at most
TRACKED_MAX: Final = 4096  # OpenDHT op_cache.h: MAX_VALUES
LOCAL: Final = InfoHash(bytes(20))  # stands for our own storage among the holders of a value


class GetOperation:
    """A get, or a query when its selection is not empty; it ends when every family ended."""

    __slots__ = ("_copies", "_ok", "_open", "_out", "_room", "_rows", "_seen", "answered",
                 "begun", "is_over", "is_paged", "key", "op", "query")  # fmt: skip

    def __init__(
        self,
        op: int,
        key: InfoHash,
        query: Query,
        families: Iterable[Family],
        begun: float,
        out: list[object],
    ) -> None:
        self.op = op
        self.key = key
        self.query = query
        self.begun = begun
        self.is_over = False
        self.is_paged = False  # ids first, then value by value: there is much at this key
        self.answered: set[InfoHash] = set()  # only ever looked into, never walked
        self._open = set(families)
        self._ok = False
        self._out = out
        self._seen: set[tuple[object, ...]] = set()  # contents; only ever looked into
        self._room = FOUND_SIZE_MAX
        self._copies: dict[int, int] = {}
        self._rows: dict[Row, None] = {}

    def take_values(self, values: Iterable[Value]) -> None:
        """Report those values that are wanted and new.

        Values of one id may differ: who asked can tell the true one, a node cannot.
        """
        if self.query.select:
            wanted = [value for value in values if self.query.matches(value)]
            self.take_rows(FieldTable.of(self.query.select, wanted).rows())
            return
        fresh = []
        for value in values:
            if not self.query.matches(value):
                continue
            content = _content(value)
            if content not in self._seen:
                if self._room <= 0:
                    continue
                self._room -= value.size + FOUND_OVERHEAD
                self._seen.add(content)
                fresh.append(value)
            self._copies[value.id] = self._copies.get(value.id, 0) + 1
        if fresh and not self.is_over:
            self._out.append(ValuesFound(self.op, tuple(fresh)))

    def take_rows(self, rows: Iterable[Row]) -> None:
        """Report those rows that are new."""
        fresh = [row for row in dict.fromkeys(rows) if row not in self._rows]
        del fresh[max(0, ROWS_MAX - len(self._rows)) :]
        self._rows.update(dict.fromkeys(fresh))
        if fresh and not self.is_over:
            self._out.append(RowsFound(self.op, tuple(fresh)))

    def wants_copy(self, value_id: int) -> bool:
        """Whether a paged get should fetch this value from one more node."""
        return self._copies.get(value_id, 0) < COPIES_WANTED

    def family_ended(self, family: Family, *, ok: bool) -> None:
        """One family has nothing more to say."""
        self._open.discard(family)
        self._ok = self._ok or ok
        if not self._open and not self.is_over:
            self.is_over = True
            self._out.append(Done(self.op, self._ok, len(self.answered)))


class PutOperation:
    """A value being announced, until enough nodes acknowledged it, or until cancelled."""

    __slots__ = ("_ok", "_open", "_out", "is_over", "is_permanent", "is_told",
                 "key", "life", "nodes", "ops", "value", "wall_created")  # fmt: skip

    def __init__(
        self,
        ops: list[int],
        key: InfoHash,
        value: Value,
        families: Iterable[Family],
        out: list[object],
        *,
        is_permanent: bool,
        wall_created: int | None,
        life: float,
    ) -> None:
        self.ops = ops
        self.key = key
        self.value = value
        self.is_permanent = is_permanent
        self.wall_created = wall_created  # what `c` says; None: now
        self.life = life
        self.is_over = False  # nothing is to be announced any more
        self.is_told = False  # the callers heard of success or failure
        self.nodes = 0
        self._open = set(families)
        self._ok = False
        self._out = out

    def family_ended(self, family: Family, *, ok: bool) -> None:
        """One family stored the value, or cannot."""
        self._open.discard(family)
        self._ok = self._ok or ok
        if not self._open:
            self.tell(ok=self._ok)

    def tell(self, *, ok: bool) -> None:
        """Report to every caller, once."""
        if self.is_told:
            return
        self.is_told = True
        self.is_over = self.is_over or not self.is_permanent
        self._out.extend(Done(op, ok, self.nodes) for op in self.ops)

    def hand_over(self) -> list[int]:
        """Return the callers that heard nothing yet; another operation will tell them."""
        callers = [] if self.is_told else self.ops
        self.is_told = True
        return callers

    def join(self, op: int) -> None:
        """Another caller puts an equal value."""
        if self.is_told:  # of a failure, perhaps; a permanent one may have succeeded since
            self._out.append(Done(op, self._ok or self.nodes > 0, self.nodes))
        else:
            self.ops.append(op)

    def is_open(self, family: Family) -> bool:
        """Whether *family* has not ended yet."""
        return family in self._open


class _Tracked:
    """A value that listeners were told of, and until when each of its holders will keep it."""

    __slots__ = ("holders", "is_proven", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.is_proven: bool | None = None  # whether its signature holds; None: nobody looked
        self.holders: dict[InfoHash, float] = {}


class ListenGroup:
    """All listens with one query at one key: what was found, who holds it, who wants to know.

    A value is reported gone when no node holds it any more. A node that falls silent is believed
    to keep its values until their life ends: other nodes die more often than values do.
    """

    __slots__ = ("_alarm", "_is_authentic", "_out", "_tracked", "abandoned_at", "key", "ops",
                 "query")  # fmt: skip

    is_over = False  # it always wants to be woken

    def __init__(
        self,
        key: InfoHash,
        query: Query,
        out: list[object],
        wakeups: Deadlines[Sleeper],
        is_authentic: Callable[[Value], bool],
    ) -> None:
        self.key = key
        self.query = query
        self.ops: dict[int, None] = {}
        self.abandoned_at = inf  # when the last caller left
        self._out = out
        self._is_authentic = is_authentic
        self._tracked: dict[int, _Tracked] = {}
        self._alarm = Alarm(wakeups, self)

    def join(self, op: int) -> None:
        """Tell one more caller what is known, and whatever comes."""
        self.ops[op] = None
        self.abandoned_at = inf
        if self._tracked:
            self._out.append(ValuesFound(op, self.values()))

    def leave(self, op: int, now: float) -> None:
        """Tell that caller nothing more."""
        self.ops.pop(op, None)
        if not self.ops:
            self.abandoned_at = now

    def values(self) -> tuple[Value, ...]:
        """Return the values that some node holds."""
        return tuple(tracked.value for tracked in self._tracked.values())

    def take_values(
        self, holder: InfoHash, values: Iterable[Value], expires_of: dict[int, float]
    ) -> None:
        """*holder* stores these *values* until the moments in *expires_of* (by value id)."""
        fresh = []
        for value in values:
            if not self.query.matches(value):
                continue
            tracked = self._tracked.get(value.id)
            if tracked is None:
                self._make_room()
                tracked = self._tracked[value.id] = _Tracked(value)
                fresh.append(value)
            elif self._replaces(value, tracked):
                tracked.value = value
                fresh.append(value)
            tracked.holders[holder] = expires_of[value.id]
        if fresh:
            self._out.extend(ValuesFound(op, tuple(fresh)) for op in self.ops)
        self._alarm.set(min(expires_of.values(), default=inf))

    def refresh(self, holder: InfoHash, expires_of: dict[int, float]) -> None:
        """*holder* prolonged the life of these values; unknown ids passed no filter of ours."""
        for value_id, expires in expires_of.items():
            tracked = self._tracked.get(value_id)
            if tracked is not None:
                tracked.holders[holder] = expires
        self._alarm.set(min(expires_of.values(), default=inf))

    def type_of(self, value_id: int) -> int | None:
        """Return the type of a tracked value."""
        tracked = self._tracked.get(value_id)
        return None if tracked is None else tracked.value.type

    def drop(self, holder: InfoHash, value_ids: Iterable[int]) -> None:
        """*holder* no longer has these values."""
        gone = []
        for value_id in value_ids:
            tracked = self._tracked.get(value_id)
            if tracked is None or tracked.holders.pop(holder, None) is None:
                continue
            if not tracked.holders:
                gone.append(self._tracked.pop(value_id).value)
        self._tell_gone(gone)

    def wake(self, now: float) -> None:
        """Forget holders whose copies have lived their time."""
        if not self._alarm.rings(now):
            return
        gone = []
        for value_id, tracked in list(self._tracked.items()):
            for holder, expires in list(tracked.holders.items()):
                if expires <= now:
                    del tracked.holders[holder]
            if not tracked.holders:
                gone.append(self._tracked.pop(value_id).value)
        self._tell_gone(gone)
        moments = (expires for one in self._tracked.values() for expires in one.holders.values())
        self._alarm.set(min(moments, default=inf))

    def _replaces(self, new: Value, tracked: _Tracked) -> bool:
        """Whether *new* is a later version of the tracked value rather than a straggler.

        A signed value says so by its sequence number. A plain one cannot be edited: when a node
        shows other content under its id, the old value's life had ended there. What is not what
        it claims to be neither replaces the true one nor keeps it out: one lying node of four
        could silence a key otherwise.
        """
        old = tracked.value
        if new.content_equals(old):
            return False
        if not (new.is_signed or old.is_signed):
            return True
        is_later = new.is_signed and (new.owner != old.owner or new.seq > old.seq)
        if is_later and self._is_authentic(new):
            tracked.is_proven = True
            return True
        if not old.is_signed:
            return False
        if tracked.is_proven is None:
            tracked.is_proven = self._is_authentic(old)
        if tracked.is_proven:
            return False
        tracked.is_proven = None
        return True

    def _tell_gone(self, gone: list[Value]) -> None:
        if gone:
            self._out.extend(ValuesExpired(op, tuple(gone)) for op in self.ops)

    def _make_room(self) -> None:
        if len(self._tracked) >= TRACKED_MAX:
            del self._tracked[next(iter(self._tracked))]


def _content(value: Value) -> tuple[object, ...]:
    """Return what tells values apart: `Value.content_equals`, and the id."""
    if value.cypher:
        return value.id, value.cypher
    return value.id, value.data, value.type, value.user_type, value.owner, value.signature


PROBE_FIELDS: Final = (Field.ID, Field.SEQ)  # what a permanent put asks before it stores
