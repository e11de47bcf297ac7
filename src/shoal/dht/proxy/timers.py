"""Named deadlines: a heap with lazy deletion, so that no event walks all of them."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_SLACK: Final = 64  # ours: outdated entries that are not worth a rebuild

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """One deadline per name; setting a name again moves its deadline."""

    def __init__(self) -> None:
        self._when: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._when)

    def __contains__(self, name: K) -> bool:
        return name in self._when

    def set(self, name: K, when: float) -> None:
        """Let *name* be due at *when*, and no longer at an earlier choice."""
        self._when[name] = when
        self._serial += 1  # names need not have an order
        heapq.heappush(self._heap, (when, self._serial, name))
        if len(self._heap) > 2 * len(self._when) + _SLACK:
            self._heap = [(at, i, name) for i, (name, at) in enumerate(self._when.items())]
            heapq.heapify(self._heap)
            self._serial = len(self._heap)

    def cancel(self, name: K) -> None:
        """Forget *name*; harmless if it has no deadline."""
        self._when.pop(name, None)

    def clear(self) -> None:
        """Forget all names."""
        self._when.clear()
        self._heap.clear()

    def next_deadline(self) -> float | None:
        """When the next name is due, or None."""
        while self._heap:
            when, _, name = self._heap[0]
            if self._when.get(name) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def due(self, now: float) -> list[K]:
        """Take out the names that are due at *now*, in the order of their deadlines."""
        names: list[K] = []
        while (when := self.next_deadline()) is not None and when <= now:
            name = heapq.heappop(self._heap)[2]
            del self._when[name]
            names.append(name)
        return names
