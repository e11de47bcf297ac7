"""Allowances that refill as time passes."""

from __future__ import annotations

from math import inf


class Budget:
    """A token bucket: *burst* at once, *rate* more per second; up to *debt_max* on credit."""

    __slots__ = ("_burst", "_debt_max", "_left", "_rate", "_since")

    def __init__(self, burst: float, rate: float, debt_max: float = inf) -> None:
        self._burst = burst
        self._debt_max = debt_max
        self._rate = rate
        self._left = burst
        self._since: float | None = None

    def take(self, now: float) -> float:
        """Take one; return what is left, below 0 if there was none to take."""
        if self._since is not None and now > self._since:
            self._left = min(self._burst, self._left + (now - self._since) * self._rate)
        self._since = now
        self._left = max(self._left - 1, -self._debt_max)
        return self._left
