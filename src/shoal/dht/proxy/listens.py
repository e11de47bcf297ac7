"""What is known of a key that is followed through a proxy, and who wants to hear of it.

All operations on a key share one request. Notices come as lines, and after an interruption as the
comparison with a fresh list: ids that were known before it and aren't in it have expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.dht.effects import ValuesExpired, ValuesFound
from shoal.dht.query import Where, matches_all

if TYPE_CHECKING:
    from shoal.core import InfoHash
    from shoal.dht.value import Value

VALUES_MAX: Final = 65_536  # OpenDHT storage.h: MAX_VALUES; a proxy can't have seen more
SIZE_MAX: Final = 64 * 1024 * 1024  # ours: bytes remembered per key

Event = ValuesFound | ValuesExpired


class Listen:
    """One key that is followed.

    Attributes:
        operations: who listens, and for what.
        request: id of the stream or of the last SUBSCRIBE, None between two of them.
        check: id of the GET whose list is being compared, if there is one.
        opened: when *request* was sent.
        failures: how often in a row it broke; sets the patience before the next.
    """

    def __init__(self, key: InfoHash) -> None:
        self.key = key
        self.operations: dict[int, Where] = {}
        self.request: int | None = None
        self.check: int | None = None
        self.opened = 0.0
        self.failures = 0
        self._values: dict[int, Value] = {}
        self._size = 0
        self._doubtful: dict[int, None] = {}

    def add(self, op: int, where: Where) -> list[Event]:
        """Let *op* listen; it first hears what is known."""
        self.operations[op] = where
        known = tuple(v for v in self._values.values() if matches_all(where, v))
        return [ValuesFound(op, known)] if known else []

    def found(self, value: Value) -> list[Event]:
        """Take a value that is there: news unless it is known with this content."""
        self._doubtful.pop(value.id, None)
        known = self._values.get(value.id)
        if known is not None and known.content_equals(value) and known.seq == value.seq:
            return []
        if known is not None and value.seq < known.seq:
            return []  # an old version, from a list that was made before the edit
        if known is None and len(self._values) >= VALUES_MAX:
            return []
        size = self._size + value.size - (known.size if known is not None else 0)
        if size > SIZE_MAX:
            return []
        self._size = size
        self._values[value.id] = value
        return [
            ValuesFound(op, (value,))
            for op, where in self.operations.items()
            if matches_all(where, value)
        ]

    def expired(self, value_id: int) -> list[Event]:
        """Forget a value that is gone; those who heard of it are told."""
        self._doubtful.pop(value_id, None)
        value = self._values.pop(value_id, None)
        if value is None:
            return []
        self._size -= value.size
        return [
            ValuesExpired(op, (value,))
            for op, where in self.operations.items()
            if matches_all(where, value)
        ]

    def doubt(self) -> None:
        """Begin a comparison: what is known now, and won't be found again, has expired."""
        self._doubtful = dict.fromkeys(self._values)

    def settle(self) -> list[Event]:
        """End a comparison whose list was complete."""
        events: list[Event] = []
        for value_id in list(self._doubtful):
            events += self.expired(value_id)
        return events
