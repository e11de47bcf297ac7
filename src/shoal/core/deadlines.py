"""Deadlines in a heap, for engines with many: nothing ever walks all of them."""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Sleeper(Protocol):
    """A part of an engine that asked to be woken."""

    @property
    def is_over(self) -> bool:
        """Whether it no longer cares; waking it then must be harmless."""

    def wake(self, now: float) -> None:
        """Do what is due at *now*; harmless early."""


S = TypeVar("S", bound=Sleeper)


class Deadlines(Generic[S]):
    """Items with the moments at which they want attention.

    An item may be added several times and is never removed early: who pops one asks it whether
    it still cares. That is cheaper than removal, and bounded by what was added recently.
    """

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, S]] = []
        self._count = 0  # equal moments leave in the order in which they came

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, moment: float, item: S) -> None:
        """Want attention for *item* at *moment*."""
        self._count += 1
        heapq.heappush(self._heap, (moment, self._count, item))

    def next(self) -> float | None:
        """Return the earliest moment, or None."""
        return self._heap[0][0] if self._heap else None

    def drop_over(self) -> None:
        """Take out the earliest items as long as they no longer care."""
        heap = self._heap
        while heap and heap[0][2].is_over:
            heapq.heappop(heap)

    def pop_due(self, now: float) -> S | None:
        """Take out the earliest item if its moment has come."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None


class Call:
    """A sleeper that calls a function."""

    __slots__ = ("_function",)
    is_over = False

    def __init__(self, function: Callable[[float], None]) -> None:
        self._function = function

    def wake(self, now: float) -> None:
        """Call it."""
        self._function(now)


class Alarm:
    """The one next wake-up of a sleeper, whose deadlines others hold as well."""

    __slots__ = ("_deadlines", "_sleeper", "moment")

    def __init__(self, deadlines: Deadlines[Sleeper], sleeper: Sleeper) -> None:
        self._deadlines = deadlines
        self._sleeper = sleeper
        self.moment = inf

    def set(self, moment: float) -> None:
        """Ring at *moment*, or before if it was to ring before."""
        if moment < self.moment:
            self.moment = moment
            self._deadlines.add(moment, self._sleeper)

    def rings(self, now: float) -> bool:
        """Whether the moment has come; then it is to be set again."""
        if now < self.moment:
            return False
        self.moment = inf
        return True
