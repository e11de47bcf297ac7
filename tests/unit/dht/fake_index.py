"""Drives indexes over a DHT in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shoal.dht.effects import Done, ValuesExpired, ValuesFound
from shoal.dht.pht.effects import (
    CancelRequest,
    InsertDone,
    LookupDone,
    PhtEffect,
    PutNode,
    ReadNode,
    WatchNode,
)
from shoal.dht.pht.engine import PhtEngine
from shoal.sim.entropy import SeededEntropy
from tests.unit.dht.fake_dht import FakeBackend, FakeDht

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shoal.dht.pht.entry import IndexValue


@dataclass(slots=True)
class IndexHost:
    """One user of an index: its engine, its backend, and what it was told."""

    engine: PhtEngine
    backend: FakeBackend
    done: dict[int, InsertDone | LookupDone] = field(default_factory=dict)
    ops: int = 0

    def take(self, effects: Iterable[PhtEffect], now: float) -> None:
        """Carry out effects."""
        for effect in effects:
            match effect:
                case ReadNode(request, key):
                    self.backend.get(request, key, now)
                case WatchNode(request, key):
                    self.backend.listen(request, key, now)
                case PutNode(request, key, value, age):
                    self.backend.put(request, key, value, now, created=-age)
                case CancelRequest(request):
                    self.backend.cancel(request, now)
                case LookupDone() | InsertDone():
                    assert effect.op not in self.done
                    self.done[effect.op] = effect

    def next_deadline(self) -> float | None:
        """When either of the two has work."""
        deadlines = [self.engine.next_deadline(), self.backend.next_deadline()]
        return min((each for each in deadlines if each is not None), default=None)

    def advance(self, now: float) -> None:
        """Do what is due."""
        self.take(self.engine.advance(now), now)
        for event in self.backend.advance(now):
            match event:
                case ValuesFound(op, values):
                    self.take(self.engine.values_found(op, values, now), now)
                case Done(op, ok):
                    self.take(self.engine.request_done(op, now, ok=ok), now)
                case _:
                    assert isinstance(event, ValuesExpired)

    def insert(
        self, key: Mapping[str, bytes], value: IndexValue, now: float, *, is_kept: bool = False
    ) -> int:
        """Begin to insert an entry; return the op."""
        self.ops += 1
        self.take(self.engine.insert(self.ops, key, value, now, is_kept=is_kept), now)
        return self.ops

    def lookup(self, key: Mapping[str, bytes], now: float, *, is_exact: bool = True) -> int:
        """Begin to look a key up; return the op."""
        self.ops += 1
        self.take(self.engine.lookup(self.ops, key, now, is_exact=is_exact), now)
        return self.ops

    def values(self, op: int) -> set[IndexValue]:
        """Return what lookup *op* found; each value once."""
        done = self.done[op]
        assert isinstance(done, LookupDone)
        assert done.ok
        found = [entry.value for entry in done.entries]
        assert len(found) == len(set(found))
        return set(found)


class IndexWorld:
    """Several users of one index on one DHT, in virtual time."""

    def __init__(self, fields: Mapping[str, int], users: int = 1, name: str = "test") -> None:
        self.dht = FakeDht()
        self.now = 0.0
        self.users = [
            IndexHost(PhtEngine(name, fields, SeededEntropy(seed)), FakeBackend(self.dht))
            for seed in range(users)
        ]

    def add_user(self, engine: PhtEngine) -> IndexHost:
        """Let one more take part."""
        user = IndexHost(engine, FakeBackend(self.dht))
        self.users.append(user)
        return user

    def run(self, duration: float) -> None:
        """Let time pass."""
        until = self.now + duration
        while True:
            due = [(user.next_deadline(), n) for n, user in enumerate(self.users)]
            times = [(time, n) for time, n in due if time is not None and time <= until]
            if not times:
                break
            time, index = min(times)
            self.now = max(self.now, time)
            self.users[index].advance(self.now)
        self.now = until
