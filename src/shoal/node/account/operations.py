"""Which part of an account's engine an operation belongs to."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.dht import Value


class DhtUser(Protocol):
    """A part that has operations in the DHT."""

    def values_found(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values that a get or a listen found."""
        ...

    def values_expired(self, op: int, values: Sequence[Value], now: float) -> list[object]:
        """Take values that a listen reported and that are gone."""
        ...

    def dht_done(self, op: int, is_ok: bool, now: float) -> list[object]:
        """Take the end of a get or a put."""
        ...


class ComputeUser(Protocol):
    """A part that has jobs done."""

    def computed(self, compute_id: int, result: object, now: float) -> list[object]:
        """Take the result of a job, or the exception that it raised."""
        ...


class Operations:
    """Numbers operations and jobs, and remembers whose they are."""

    def __init__(self) -> None:
        self._ops = itertools.count(1)
        self._owners: dict[int, DhtUser] = {}
        self._computers: dict[int, ComputeUser] = {}

    def __len__(self) -> int:
        return len(self._owners) + len(self._computers)

    def begin(self, owner: DhtUser) -> int:
        """Return the number of a new operation of *owner*."""
        op = next(self._ops)
        self._owners[op] = owner
        return op

    def begin_silent(self) -> int:
        """Return the number of an operation that is none of the DHT, so has no owner here."""
        return next(self._ops)

    def owner(self, op: int) -> DhtUser | None:
        """Return whose operation *op* is, if it is still under way."""
        return self._owners.get(op)

    def end(self, op: int) -> DhtUser | None:
        """Return whose operation *op* was, and forget it."""
        return self._owners.pop(op, None)

    def begin_job(self, owner: ComputeUser) -> int:
        """Return the number of a new job of *owner*."""
        op = next(self._ops)
        self._computers[op] = owner
        return op

    def end_job(self, compute_id: int) -> ComputeUser | None:
        """Return whose job it was, and forget it."""
        return self._computers.pop(compute_id, None)


class Clock:
    """What makes wall-clock time of an engine's time: people set clocks while nodes run."""

    __slots__ = ("wall_offset",)

    def __init__(self, wall_offset: float) -> None:
        self.wall_offset = wall_offset

    def wall(self, now: float) -> float:
        """Return seconds since 1970 at the engine's time *now*."""
        return now + self.wall_offset
