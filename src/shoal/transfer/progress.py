"""How fast something goes, and how long it still takes."""

from __future__ import annotations

from math import exp
from typing import Final

MEMORY: Final = 4.0  # seconds, ours: what was long before counts little
_SAMPLE: Final = 0.1  # seconds, ours: what comes in between is one sample


class Meter:
    """Measures a rate: an average over the last seconds, in which older ones count less."""

    __slots__ = ("_begun", "_rate", "_since", "_weight")

    def __init__(self) -> None:
        self._begun = 0.0  # bytes of the sample that is being taken
        self._since: float | None = None  # when that began
        self._rate = 0.0
        self._weight = 0.0  # how much of `_rate` was measured, 0 to 1

    def add(self, size: int, now: float) -> None:
        """Note that *size* bytes went."""
        if self._since is None:
            self._since = now
        self._begun += size
        self._sample(now)

    def rate(self, now: float) -> float:
        """Return bytes per second."""
        if self._since is not None:
            self._sample(now)
        if self._weight > 0.0:
            return self._rate / self._weight
        return 0.0

    def time_left(self, size: int, now: float) -> float | None:
        """Return how many seconds *size* bytes take; None if nobody can tell."""
        rate = self.rate(now)
        return size / rate if rate >= 1.0 else None

    def reset(self) -> None:
        """Begin anew, after a break."""
        self._begun = self._rate = self._weight = 0.0
        self._since = None

    def _sample(self, now: float) -> None:
        assert self._since is not None, "a sample has begun"
        passed = now - self._since
        if passed < _SAMPLE:
            return
        kept = exp(-passed / MEMORY)
        self._rate = self._rate * kept + (self._begun / passed) * (1.0 - kept)
        self._weight = self._weight * kept + (1.0 - kept)
        self._begun, self._since = 0.0, now
