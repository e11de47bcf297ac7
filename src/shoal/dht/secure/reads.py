"""Running gets and listens, as their callers see them: checked, and in order.

A reading is a queue of what its backend reported. A batch of values leaves once every value in it
was judged, and nothing overtakes it: neither later values, nor expiries, nor `Done`.

A listen also remembers what it showed, by value id, which serves three ends: an encrypted value
that expires is reported in clear; a value isn't shown twice; and after a change of backend, what
the new one doesn't know any more can be reported as expired.
"""

from __future__ import annotations

from collections import deque
from dataclasses import field
from typing import TYPE_CHECKING, Final, TypeAlias

from shoal.core.records import dataclass
from shoal.dht.effects import Done, ValuesExpired, ValuesFound
from shoal.dht.secure.checks import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.core import InfoHash
    from shoal.crypto.identity import Identity
    from shoal.dht.query import Where
    from shoal.dht.secure.checks import Checker
    from shoal.dht.value import Value

SHOWN_MAX: Final = 65_536  # reference section 3.7: values per key; the oldest is forgotten first

Shown: TypeAlias = ValuesFound | ValuesExpired | Done


@dataclass(slots=True, eq=False)
class Reading:
    """One get or listen that is under way.

    Attributes:
        is_raw: values pass unchecked, as a proxy server wants them.
        end: how the backend ended it, while checks are still to come.
    """

    op: int
    key: InfoHash
    where: Where
    is_listen: bool
    is_raw: bool
    identity: Identity | None
    end: Done | None = None
    queue: deque[Batch | ValuesExpired] = field(default_factory=deque)
    shown: dict[int, tuple[Value, Value]] = field(default_factory=dict)  # id: as sent, as shown
    unconfirmed: dict[int, None] = field(default_factory=dict)  # ids shown by the backend before


class Readings:
    """The gets and listens of one secure engine."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._readings: dict[int, Reading] = {}  # by op

    def __contains__(self, op: int) -> bool:
        return op in self._readings

    def __len__(self) -> int:
        return len(self._readings)

    def open(self, reading: Reading) -> None:
        """Follow one more reading."""
        assert reading.op not in self._readings, "the ids of running operations differ"
        self._readings[reading.op] = reading

    def cancel(self, op: int) -> Reading | None:
        """Forget a reading: no event of it follows."""
        reading = self._readings.pop(op, None)
        if reading is not None:
            for entry in reading.queue:
                if isinstance(entry, Batch):
                    entry.is_cancelled = True
        return reading

    def running(self) -> list[Reading]:
        """Return the readings that their backend hasn't ended."""
        return [reading for reading in self._readings.values() if reading.end is None]

    def all(self) -> list[Reading]:
        """Return every reading, those included that only wait for checks."""
        return list(self._readings.values())

    def found(self, event: ValuesFound) -> Sequence[Shown]:
        """Take values of the backend; return what may be shown."""
        reading = self._readings.get(event.op)
        if reading is None or reading.end is not None:
            return ()
        is_clear = reading.is_raw or _are_plain(event.values)
        if is_clear and not reading.is_listen and not reading.queue:
            return (event,)
        if is_clear:
            batch = Batch(event.op, event.values, list(event.values))
        else:
            batch = self._checker.examine(event.op, event.values, reading.identity)
        reading.queue.append(batch)
        return self._flush(reading)

    def expired(self, event: ValuesExpired) -> Sequence[Shown]:
        """Take values that the backend says are gone."""
        reading = self._readings.get(event.op)
        if reading is None:
            return ()
        reading.queue.append(event)
        return self._flush(reading)

    def done(self, event: Done) -> Sequence[Shown]:
        """Take the end of a reading; it is reported when all its values are."""
        reading = self._readings.get(event.op)
        if reading is None or reading.end is not None:
            return ()
        reading.end = event
        return self._flush(reading)

    def completed(self, batch: Batch) -> Sequence[Shown]:
        """Return what may be shown now that *batch* is judged."""
        return self._flush(self._readings[batch.op])

    def doubt(self) -> None:
        """Remember what every listen showed: a new backend is to confirm it."""
        for reading in self._readings.values():
            reading.unconfirmed = dict.fromkeys(reading.shown)

    def drop_unconfirmed(self) -> list[Shown]:
        """Report as expired what the new backend didn't find again."""
        events: list[Shown] = []
        for reading in self._readings.values():
            gone = [reading.shown.pop(value_id, None) for value_id in reading.unconfirmed]
            reading.unconfirmed = {}
            if values := tuple(entry[1] for entry in gone if entry is not None):
                events.append(ValuesExpired(reading.op, values))
        return events

    def _flush(self, reading: Reading) -> Sequence[Shown]:
        """Take everything off the queue that waits for nothing."""
        events: list[Shown] = []
        queue = reading.queue
        while queue:
            entry = queue[0]
            if isinstance(entry, Batch):
                if entry.waiting:
                    return events
                values = _show(reading, entry) if reading.is_listen else _kept(entry)
                if values:
                    events.append(ValuesFound(reading.op, values))
            elif values := _hide(reading, entry.values):
                events.append(ValuesExpired(reading.op, values))
            queue.popleft()
        if reading.end is not None:
            del self._readings[reading.op]
            events.append(reading.end)
        return events


def _are_plain(values: tuple[Value, ...]) -> bool:
    """Whether there is nothing to check in *values*."""
    return all(value.cypher is None and value.owner is None for value in values)


def _kept(batch: Batch) -> tuple[Value, ...]:
    """Return the values of a get's batch that are shown."""
    return tuple(value for value in batch.clear if value is not None)


def _show(reading: Reading, batch: Batch) -> tuple[Value, ...]:
    """Return the values of a listen's batch that are new to it, and remember them."""
    news: list[Value] = []
    for outer, clear in zip(batch.outer, batch.clear, strict=True):
        if clear is None:
            continue
        reading.unconfirmed.pop(outer.id, None)
        known = reading.shown.pop(outer.id, None)
        reading.shown[outer.id] = (outer, clear)
        if known is None or known[1] != clear:
            news.append(clear)
    while len(reading.shown) > SHOWN_MAX:
        del reading.shown[next(iter(reading.shown))]
    return tuple(news)


def _hide(reading: Reading, values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return what was shown of *values*, whose lives ended."""
    gone: list[Value] = []
    for outer in values:
        known = reading.shown.get(outer.id)
        if known is not None and known[0] == outer:
            del reading.shown[outer.id]
            gone.append(known[1])
    return tuple(gone)
