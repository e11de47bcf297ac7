"""Rates: a bucket of permits that fills with time, and one such bucket for each of many."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

BUCKETS_MAX: Final = 1024  # ours: tokens that are remembered; the one unused longest goes


class Bucket:
    """Permits that come at a rate, and of which a few can be saved up."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._level = float(burst)
        self._filled = -math.inf

    def take(self, now: float) -> float:
        """Take a permit; return 0, or the seconds until there is one if there is none."""
        if self._filled != -math.inf:
            gained = (now - self._filled) * self._rate
            self._level = min(float(self._burst), self._level + gained)
        self._filled = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate


class Buckets:
    """A bucket for each name."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """Take a permit of *name*; return 0, or the seconds until there is one."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._rate, self._burst)
        self._buckets.move_to_end(name)
        while len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return bucket.take(now)
