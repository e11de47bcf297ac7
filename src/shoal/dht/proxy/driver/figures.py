"""What a proxy server tells about itself and its node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shoal.core import Family
from shoal.dht.proxy import wire

if TYPE_CHECKING:
    from shoal.dht.driver import NodeStats
    from shoal.dht.driver.stats import FamilyStats

RATE_WINDOW: Final = 120.0  # seconds; OpenDHT dht_proxy_server.cpp, PRINT_STATS_PERIOD


class RequestRate:
    """Requests per second: of the window before, once there is one."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._count = 0
        self._last = 0.0

    def count(self, now: float) -> None:
        """Note a request."""
        self._roll(now)
        self._count += 1

    def per_second(self, now: float) -> float:
        """Return the rate of the last whole window, or of the time since the start."""
        self._roll(now)
        return self._last or self._count / max(now - self._began, 1.0)

    def _roll(self, now: float) -> None:
        if now - self._began >= RATE_WINDOW:
            self._last = self._count / (now - self._began)
            self._began, self._count = now, 0


def info_of(stats: NodeStats) -> wire.NodeInfo:
    """Return what clients are told about the node."""
    ipv4, ipv6 = stats.families.get(Family.IPV4), stats.families.get(Family.IPV6)
    return wire.NodeInfo(
        stats.node_id,
        _counts_of(ipv4),
        _counts_of(ipv6),
        stats.key_id,
        stats.operations,
        stats.values,
        stats.values_bytes,
        port4=ipv4.bound.port if ipv4 else 0,
        port6=ipv6.bound.port if ipv6 else 0,
    )


def _counts_of(stats: FamilyStats | None) -> wire.FamilyCounts:
    if stats is None:
        return wire.FamilyCounts()
    return wire.FamilyCounts(stats.good, stats.dubious, stats.incoming, stats.table_depth)


def public_host(host: str) -> str:
    """Return an address as text; IPv4 in an IPv6 socket is IPv4."""
    return host.removeprefix("::ffff:")
