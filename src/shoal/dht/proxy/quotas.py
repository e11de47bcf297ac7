"""Fair shares: so many of a thing per client, and so many in all."""

from __future__ import annotations

from typing import Final, Literal

from shoal.core import Address, DecodeError
from shoal.core.addresses import unmapped

IPV6_PREFIX_BYTES: Final = 8  # ours: one customer has a /64 at least


class Quota:
    """Counts what each client holds."""

    def __init__(self, per_client: int, total: int) -> None:
        self._per_client = per_client
        self._total = total
        self._held: dict[str, int] = {}
        self.used = 0
        self.refused = 0

    def take(self, client: str, amount: int = 1) -> Literal["granted", "client", "total"]:
        """Hold *amount* more for *client*, unless its share or all is used up: then say which."""
        if self.used + amount > self._total:
            self.refused += 1
            return "total"
        held = self._held.get(client, 0)
        if held + amount > self._per_client:
            self.refused += 1
            return "client"
        self._held[client] = held + amount
        self.used += amount
        return "granted"

    def give_back(self, client: str, amount: int = 1) -> None:
        """Release *amount* of what *client* took."""
        held = self._held[client] - amount
        assert held >= 0, "nothing is given back twice"
        self.used -= amount
        if held:
            self._held[client] = held
        else:
            del self._held[client]


def client_of(host: str) -> str:
    """Return who *host* is for quotas: its IPv4 address, or the /64 of its IPv6 address."""
    try:
        ip = unmapped(Address.parse(host, 0).ip)
    except DecodeError:
        return host
    return ip.hex() if len(ip) == 4 else ip[:IPV6_PREFIX_BYTES].hex()  # noqa: PLR2004 - IPv4
