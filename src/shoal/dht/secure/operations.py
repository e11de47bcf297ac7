"""What a backend is busy with on our behalf, so that another backend can take it over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.dht.effects import StatusChanged
from shoal.dht.errors import DhtError, TooManyOperationsError
from shoal.dht.secure.orders import ROUTED
from shoal.dht.secure.puts import Announcement, Announcements, failure
from shoal.dht.secure.reads import Reading, Readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shoal.core import InfoHash
    from shoal.dht.backend import DhtCommands
    from shoal.dht.effects import Done
    from shoal.dht.query import Query
    from shoal.dht.secure.checks import Checker
    from shoal.dht.secure.orders import Slot

READINGS_MAX: Final = 65_536  # ours: gets and listens under way
QUERIES_MAX: Final = 16_384  # ours: likewise


class Operations:
    """Gets, listens, queries and puts that were begun on a backend.

    Attributes:
        inner: the backend.
        readings: gets and listens, with what is still to be checked of them.
        announcements: puts.
    """

    def __init__(self, inner: DhtCommands, checker: Checker, own_ops: Iterator[int]) -> None:
        self.inner = inner
        self.readings: Final = Readings(checker)
        self.announcements: Final = Announcements()
        self._queries: dict[int, tuple[InfoHash, Query]] = {}
        self._own_ops = own_ops

    def open(self, reading: Reading, now: float) -> Sequence[object]:
        """Begin a get or a listen.

        Raises:
            DhtError: the backend refuses, or as many as allowed are under way.
        """
        if len(self.readings) >= READINGS_MAX:
            raise TooManyOperationsError
        effects = self._ask(reading, now)
        self.readings.open(reading)
        return effects

    def query(self, op: int, key: InfoHash, query: Query, now: float) -> Sequence[object]:
        """Begin a query.

        Raises:
            DhtError: the backend refuses, or as many as allowed are under way.
        """
        if len(self._queries) >= QUERIES_MAX:
            raise TooManyOperationsError
        effects = self.inner.query(op, key, query, now)
        self._queries[op] = (key, query)
        return effects

    def announce(self, announcement: Announcement, now: float) -> Sequence[object]:
        """Begin a put.

        Raises:
            DhtError: the backend refuses, or as many as allowed are announced.
        """
        self.announcements.check_room(announcement.slot)
        effects = self._tell(announcement, now)
        self.announcements.add(announcement)
        return effects

    def cancel(self, op: int, now: float) -> Sequence[object]:
        """End a get, listen or query without a word; other ops are ignored."""
        reading = self.readings.cancel(op)
        is_running = reading is not None and reading.end is None
        if is_running or self._queries.pop(op, None) is not None:
            return self.inner.cancel(op, now)
        return ()

    def cancel_put(self, slot: Slot, now: float) -> Sequence[object]:
        """End a put."""
        self.announcements.remove(slot)
        return self.inner.cancel_put(*slot, now)

    def ended(self, event: Done) -> None:
        """Take the end of a query or a put."""
        self._queries.pop(event.op, None)
        self.announcements.ended(event.op)

    def unfinished(self) -> list[int]:
        """Return the ops of gets and queries, for which a `Done` is to come."""
        gets = [reading.op for reading in self.readings.all() if not reading.is_listen]
        return [*gets, *self._queries]

    def clear(self) -> None:
        """Forget all readings and queries."""
        for reading in self.readings.all():
            self.readings.cancel(reading.op)
        self._queries.clear()

    def replace(self, inner: DhtCommands, now: float) -> list[object]:
        """Take everything off the backend and begin it on another one."""
        old, self.inner = self.inner, inner
        effects = self._release(old, now)
        if inner.status != old.status:
            effects.append(StatusChanged(*inner.status))
        self.readings.doubt()
        for reading in self.readings.running():
            try:
                effects += self._ask(reading, now)
            except DhtError as error:
                self.readings.cancel(reading.op)
                effects += failure(reading.op, error)
        for op, (key, query) in list(self._queries.items()):
            try:
                effects += inner.query(op, key, query, now)
            except DhtError as error:
                effects += failure(op, error)
        for announcement in self.announcements.all():
            try:
                effects += self._tell(announcement, now)
            except DhtError as error:
                self.announcements.remove(announcement.slot)
                effects += failure(announcement.op, error)
        return effects

    def _ask(self, reading: Reading, now: float) -> Sequence[object]:
        """Have the backend begin a get or a listen."""
        command = self.inner.listen if reading.is_listen else self.inner.get
        return command(reading.op, reading.key, now, where=reading.where)

    def _tell(self, announcement: Announcement, now: float) -> Sequence[object]:
        """Have the backend put a value; a second `Done` goes to an op that nobody waits for."""
        return self.inner.put(
            next(self._own_ops) if announcement.is_reported else announcement.op,
            announcement.key,
            announcement.value,
            now,
            created=announcement.created,
            permanent=announcement.is_permanent,
        )

    def _release(self, old: DhtCommands, now: float) -> list[object]:
        """Take everything off a backend; its last events are no news, its orders are."""
        effects: list[object] = []
        for op in [*(reading.op for reading in self.readings.running()), *self._queries]:
            effects += old.cancel(op, now)
        for announcement in self.announcements.all():
            effects += old.cancel_put(*announcement.slot, now)
        return [effect for effect in effects if type(effect) not in ROUTED]
