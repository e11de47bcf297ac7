# ruff: noqa: D102 - the commands are documented in shoal.dht.backend
"""A DHT in memory behind the commands of a backend: what the layers above are tested on.

Answers take `LATENCY` of virtual time; values live ten minutes; nothing is lost, unless asked for.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shoal.core import Address, Compute, InfoHash
from shoal.dht.effects import Done, RowsFound, Status, StatusChanged, ValuesExpired, ValuesFound
from shoal.dht.errors import DhtError, ValueTooLargeError
from shoal.dht.query import Query, Row, Where, matches_all
from shoal.dht.value import VALUE_SIZE_MAX, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shoal.dht.secure.engine import SecureEngine

LATENCY = 0.1
LIFE = 600.0
NODES = 8
CONNECTED = (Status.CONNECTED, Status.CONNECTED)
DISCONNECTED = (Status.DISCONNECTED, Status.DISCONNECTED)


@dataclass(slots=True)
class FakeDht:
    """What all backends share: who stored what, and who listens."""

    stored: dict[InfoHash, dict[int, tuple[Value, float]]] = field(default_factory=dict)
    backends: list[FakeBackend] = field(default_factory=list)

    def values(self, key: InfoHash, now: float, where: Where = ()) -> tuple[Value, ...]:
        """Return what is alive at *key*."""
        values = self.stored.get(key, {}).values()
        return tuple(v for v, expiry in values if expiry > now and matches_all(where, v))

    def store(self, key: InfoHash, value: Value, now: float, life: float = LIFE) -> None:
        """Store *value* at once, and tell listeners; an equal one is only refreshed."""
        known = self.stored.setdefault(key, {}).get(value.id)
        self.stored[key][value.id] = (value, now + life)
        if known is not None and known[1] > now and known[0] == value:
            return
        for backend in self.backends:
            backend.notify(key, value, now)

    def expire(self, key: InfoHash, value_id: int, now: float) -> None:
        """End the life of a value, and tell listeners."""
        value, _ = self.stored[key].pop(value_id)
        for backend in self.backends:
            for op, where in backend.listening(key):
                if matches_all(where, value):
                    backend.schedule(now, ValuesExpired(op, (value,)))


class FakeBackend:
    """`DhtCommands` over a `FakeDht`."""

    def __init__(self, dht: FakeDht, status: tuple[Status, Status] = CONNECTED) -> None:
        self.dht = dht
        self.current = status
        self.calls: list[tuple[object, ...]] = []
        self.listens: dict[int, tuple[InfoHash, Where]] = {}
        self.permanent: dict[tuple[InfoHash, int], Value] = {}
        self.refusing: DhtError | None = None
        self.failing = False
        self._due: list[tuple[float, int, Callable[[float], Sequence[object]], int | None]] = []
        self._order = itertools.count()
        self._by_key: dict[InfoHash, dict[int, None]] = {}
        self._cancelled: set[int] = set()
        dht.backends.append(self)

    @property
    def status(self) -> tuple[Status, Status]:
        return self.current

    def receive(self, datagram: bytes, addr: Address, now: float) -> list[object]:
        return []

    def next_deadline(self) -> float | None:
        return self._due[0][0] if self._due else None

    def advance(self, now: float) -> list[object]:
        effects: list[object] = []
        while self._due and self._due[0][0] <= now:
            _, _, answer, op = heapq.heappop(self._due)
            if op not in self._cancelled:
                effects += answer(now)
        return effects

    def get(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> list[object]:
        self._note("get", op, key, where)

        def answer(then: float) -> list[object]:
            if self.failing:
                return [Done(op, ok=False, nodes=0)]
            found = self.dht.values(key, then, where)
            half = (len(found) + 1) // 2
            parts = [part for part in (found[:half], found[half:]) if part]
            return [*(ValuesFound(op, part) for part in parts), Done(op, ok=True, nodes=NODES)]

        self._later(now, answer, op)
        return []

    def query(self, op: int, key: InfoHash, query: Query, now: float) -> list[object]:
        self._note("query", op, key, query)

        def answer(then: float) -> list[object]:
            rows = tuple(Row(id=v.id, seq=v.seq) for v in self.dht.values(key, then, query.where))
            return [RowsFound(op, rows), Done(op, ok=True, nodes=NODES)]

        self._later(now, answer, op)
        return []

    def listen(self, op: int, key: InfoHash, now: float, *, where: Where = ()) -> list[object]:
        self._note("listen", op, key, where)
        self.listens[op] = (key, where)
        self._by_key.setdefault(key, {})[op] = None
        self._later(now, lambda then: self._first(op, key, where, then), op)
        return []

    def put(
        self,
        op: int,
        key: InfoHash,
        value: Value,
        now: float,
        *,
        created: float | None = None,
        permanent: bool = False,
    ) -> list[object]:
        assert value.id
        self._note("put", op, key, value, permanent)
        if value.size > VALUE_SIZE_MAX:
            raise ValueTooLargeError
        if permanent:
            self.permanent[key, value.id] = value

        def answer(then: float) -> list[object]:
            if self.failing:
                return [Done(op, ok=False, nodes=0)]
            self.dht.store(key, value, then, LIFE if created is None else LIFE + created)
            return [Done(op, ok=True, nodes=NODES)]

        self._later(now, answer, None)
        return []

    def cancel(self, op: int, now: float) -> list[object]:
        self.calls.append(("cancel", op))
        if op in self.listens:
            key, _ = self.listens.pop(op)
            del self._by_key[key][op]
        self._cancelled.add(op)
        return []

    def cancel_put(self, key: InfoHash, value_id: int, now: float) -> list[object]:
        self.calls.append(("cancel_put", key, value_id))
        self.permanent.pop((key, value_id), None)
        return []

    def connectivity_changed(self, now: float) -> list[object]:
        self.calls.append(("connectivity_changed",))
        return []

    def close(self, now: float) -> list[object]:
        self.calls.append(("close",))
        return []

    def connect(self, now: float) -> None:
        """Report a connection."""
        self.current = CONNECTED
        self.schedule(now, StatusChanged(*CONNECTED))

    def schedule(self, now: float, effect: object) -> None:
        """Report *effect* after the latency."""
        self._later(now, lambda _then: [effect], None)

    def notify(self, key: InfoHash, value: Value, now: float) -> None:
        """Tell listeners of a new value."""
        for op, where in self.listening(key):
            if matches_all(where, value):
                self._later(now, _found(op, value), op)

    def listening(self, key: InfoHash) -> list[tuple[int, Where]]:
        """Return the listens at *key*."""
        return [(op, self.listens[op][1]) for op in self._by_key.get(key, ())]

    def ops(self, command: str) -> list[tuple[object, ...]]:
        """Return the arguments of every call of *command*."""
        return [call[1:] for call in self.calls if call[0] == command]

    def _first(self, op: int, key: InfoHash, where: Where, now: float) -> list[object]:
        values = self.dht.values(key, now, where)
        return [ValuesFound(op, values)] if values else []

    def _note(self, *call: object) -> None:
        if self.refusing is not None:
            raise self.refusing
        self.calls.append(call)

    def _later(
        self, now: float, answer: Callable[[float], Sequence[object]], op: int | None
    ) -> None:
        heapq.heappush(self._due, (now + LATENCY, next(self._order), answer, op))


def _found(op: int, value: Value) -> Callable[[float], list[object]]:
    return lambda _now: [ValuesFound(op, (value,))]


@dataclass(slots=True)
class Host:
    """Drives one secure engine in virtual time: runs its computations, keeps its events.

    `is_holding` leaves computations in `held`, to be released in any order.
    """

    engine: SecureEngine
    now: float = 0.0
    events: list[object] = field(default_factory=list)
    held: deque[Compute] = field(default_factory=deque)
    is_holding: bool = False

    def take(self, effects: Iterable[object]) -> None:
        """Carry out effects."""
        for effect in effects:
            if isinstance(effect, Compute):
                self.held.append(effect)
            else:
                self.events.append(effect)
        while self.held and not self.is_holding:
            self.release(0)

    def release(self, index: int) -> None:
        """Run the computation at *index* of those held."""
        compute = self.held[index]
        del self.held[index]
        try:
            result = compute.job()
        except Exception as error:  # noqa: BLE001 - as a driver does
            self.take(self.engine.compute_failed(compute.id, error, self.now))
        else:
            self.take(self.engine.computed(compute.id, result, self.now))

    def run(self, duration: float) -> None:
        """Let time pass."""
        until = self.now + duration
        while (deadline := self.engine.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.take(self.engine.advance(self.now))
        self.now = until

    def of(self, op: int) -> list[object]:
        """Return the events of *op*."""
        return [event for event in self.events if getattr(event, "op", None) == op]

    def values(self, op: int) -> list[Value]:
        """Return the values found for *op*."""
        events = [event for event in self.of(op) if isinstance(event, ValuesFound)]
        return [value for event in events for value in event.values]

    def done(self, op: int) -> Done | None:
        """Return how *op* ended; it must be its last event."""
        events = self.of(op)
        if not events or not isinstance(events[-1], Done):
            return None
        assert sum(isinstance(event, Done) for event in events) == 1
        return events[-1]
