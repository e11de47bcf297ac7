"""How many requests are taken: per second in all, and per source address.

A window of one second slides over the requests that came. The limit per address is looked at first,
and what passes it counts there even when the limit in all refuses it. IPv6 sources count by /64.

Source: OpenDHT network_engine.cpp, NetworkEngine::rateLimit; rate_limiter.h.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shoal.core import Address

TOTAL_MAX: Final = 8192  # requests per second; OpenDHT network_engine.h: DEFAULT_MAX_REQ_PER_SEC
PER_ADDRESS_SHARE: Final = 8  # OpenDHT: one address gets an eighth of all
UNLIMITED: Final = -1
_WINDOW: Final = 1.0  # seconds; OpenDHT rate_limiter.h
_PREFIX_SIZE: Final = 8  # bytes of an IPv6 /64
# ours: forged sources cost a record each; 4 MB at worst, and eight times what is let through
_RECORDS_MAX: Final = 65_536


class RateLimiter:
    """Counts the requests of the last second.

    Args:
        total_max: requests per second in all; 0 for the default, -1 for no limit.
        per_address_max: the same per source address; 0 for an eighth of the total.

    When more than 65,536 requests of one second are on record, more are refused; without a limit
    in all they pass unrecorded.
    """

    def __init__(self, total_max: int = 0, per_address_max: int = 0) -> None:
        self._total_max = total_max or TOTAL_MAX
        self._per_address_max = per_address_max or (
            UNLIMITED if total_max < 0 else max(1, self._total_max // PER_ADDRESS_SHARE)
        )
        self._records: deque[tuple[float, bytes, bool]] = deque()  # when, who, let through
        self._counts: dict[bytes, int] = {}
        self._admitted = 0

    def admit(self, addr: Address, now: float) -> bool:
        """Whether a request from *addr* may be processed; counts it."""
        if self._total_max < 0 and self._per_address_max < 0:
            return True
        self._forget(now - _WINDOW)
        ip = addr.ip
        source = ip if len(ip) <= _PREFIX_SIZE else ip[:_PREFIX_SIZE]
        count = self._counts.get(source, 0)
        if 0 <= self._per_address_max <= count:
            return False
        if len(self._records) >= _RECORDS_MAX:
            return self._total_max < 0
        is_admitted = self._total_max < 0 or self._admitted < self._total_max
        self._records.append((now, source, is_admitted))
        self._counts[source] = count + 1
        self._admitted += is_admitted
        return is_admitted

    def _forget(self, limit: float) -> None:
        """Drop the records from before *limit*."""
        records, counts = self._records, self._counts
        while records and records[0][0] < limit:
            _, source, was_admitted = records.popleft()
            self._admitted -= was_admitted
            count = counts[source] - 1
            if count:
                counts[source] = count
            else:
                del counts[source]
