"""Deadlines in a heap, for engines with many: nothing ever walks all of them."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Items with the moments at which they want attention.

    An item may be added several times and is never removed early: who pops one asks it whether
    it still cares. That is cheaper than removal, and bounded by what was added recently.
    """

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0  # equal moments leave in the order in which they came

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, moment: float, item: T) -> None:
        """Want attention for *item* at *moment*."""
        self._count += 1
        heapq.heappush(self._heap, (moment, self._count, item))

    def next(self) -> float | None:
        """Return the earliest moment, or None."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> T | None:
        """Take out the earliest item if its moment has come."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None
