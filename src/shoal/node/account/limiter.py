"""How often each of many senders may cause work: token buckets, bounded, the oldest forgotten."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")


class SenderLimiter(Generic[K]):
    """Lets each sender through *burst* times at once, and *rate* times per second after that."""

    def __init__(self, burst: float, rate: float, senders_max: int) -> None:
        self._burst = burst
        self._rate = rate
        self._senders_max = senders_max
        self._buckets: OrderedDict[K, tuple[float, float]] = OrderedDict()  # tokens, when

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, sender: K, now: float) -> bool:
        """Take one token of *sender*, if there is one."""
        tokens, seen = self._buckets.pop(sender, (self._burst, now))
        tokens = min(self._burst, tokens + (now - seen) * self._rate)
        is_allowed = tokens >= 1
        self._buckets[sender] = (tokens - 1 if is_allowed else tokens, now)
        if len(self._buckets) > self._senders_max:
            self._buckets.popitem(last=False)
        return is_allowed
