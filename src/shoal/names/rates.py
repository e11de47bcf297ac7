"""Rates: what a client may ask, on the long run and at once."""

from __future__ import annotations

from typing import Final

from shoal.core import Address, DecodeError
from shoal.core.addresses import unmapped

IPV4_LENGTH: Final = 4  # bytes
IPV6_PREFIX_BYTES: Final = 8  # ours: one customer has a /64 at least


class RateLimiter:
    """A bucket per client, filled at a rate up to a burst.

    When too many clients are remembered, the longest unseen is forgotten, whose bucket is fuller
    than any other's.
    """

    def __init__(self, per_second: float, burst: int, clients_max: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clients_max = clients_max
        self._buckets: dict[str, tuple[float, float]] = {}  # what was left, and when
        self.refused = 0

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, now: float) -> float:
        """Take one for *client*: return 0.0 if granted, else the seconds until one will be."""
        left = self.left(client, now)
        wait = 0.0
        if left >= 1.0:
            left -= 1.0
        else:
            self.refused += 1
            wait = (1.0 - left) / self._per_second
        self._buckets.pop(client, None)
        self._buckets[client] = left, now  # now the last: dictionaries keep the order of insertion
        if len(self._buckets) > self._clients_max:
            del self._buckets[next(iter(self._buckets))]
        return wait

    def give_back(self, client: str, now: float) -> None:
        """Undo one `take`: it turned out to cost nothing."""
        if client in self._buckets:
            self._buckets[client] = min(self.left(client, now) + 1.0, self._burst), now

    def left(self, client: str, now: float) -> float:
        """Return what is left for *client*."""
        left, when = self._buckets.get(client, (self._burst, now))
        return min(left + max(now - when, 0.0) * self._per_second, self._burst)


def client_of(host: str) -> str:
    """Return who *host* is for limits: its IPv4 address, or the /64 of its IPv6 address."""
    try:
        ip = unmapped(Address.parse(host, 0).ip)
    except DecodeError:
        return host
    return ip.hex() if len(ip) == IPV4_LENGTH else ip[:IPV6_PREFIX_BYTES].hex()
